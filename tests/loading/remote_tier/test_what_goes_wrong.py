"""Whatever goes wrong at a remote store, the Hub is asked in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from depthhub import NotFoundError, OfflineError, RemoteError, from_pretrained, prewarm
from depthhub.planning import plan
from depthhub.steps.request import Request
from depthhub.testing import LocalHub
from depthhub_cache.store import Entry, Store

from ...cache.remote import web as answers
from ...cache.remote.s3_server import S3Server
from ...cache.remote.web import Answer, Web
from .shelves import FILE, NAME, REPO, hub_paths, pushed_by, warmed

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test can wait for, and that a busy machine keeps where nothing is wrong."""
    for limit, seconds in (("CONNECT", 1), ("STALL", 1), ("TOTAL", 5)):
        monkeypatch.setenv(f"DEPTHHUB_{limit}_TIMEOUT", str(seconds))


ILLS: dict[str, tuple[str, Answer]] = {
    "it has nothing": ("", answers.status(404)),
    "it is throttled": ("", answers.status(429, Retry_After="3600")),
    "it is broken": ("", answers.status(500)),
    "access is denied": ("", answers.status(403)),
    "a page to sign in": ("", answers.instead(b"<!doctype html>", "text/html")),
    "it is silent": ("", answers.silent),
    "the weights stand still": ("safetensors", answers.stalled(100)),
    "the weights break off": ("safetensors", answers.dropped(100)),
    "the weights are a trickle": ("safetensors", answers.trickle),
    "the weights are gone": ("safetensors", answers.status(404)),
    "the weights have no end": ("safetensors", answers.endless),
    "the record is empty": ("json", answers.instead(b"")),
}


_SECONDS = {"the weights are a trickle": 12.0}  # as long as the limit for the whole lets it


@pytest.mark.parametrize("ill", ILLS)
def test_whatever_is_wrong_with_it_the_hub_is_asked_in_time(
    ill: str,
    web: Web,
    filled: Entry,
    hub: LocalHub,
    tmp_path: Path,
    hasty: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    which, answer = ILLS[ill]
    web.answers[which] = answer
    began = time.monotonic()
    made = warmed(tmp_path / "machine")
    assert time.monotonic() - began < _SECONDS.get(ill, 8.0)
    assert made.weights.read_bytes() == filled.weights.read_bytes()
    assert len(hub_paths(hub)) == 2
    assert ("The Hub is asked" in caplog.text) == (ill != "it has nothing")  # that it has not got it is no trouble


@pytest.mark.parametrize("ill", ILLS)
def test_where_the_hub_may_not_be_asked_the_same_is_an_error_in_time(
    ill: str, web: Web, hub: LocalHub, tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    which, answer = ILLS[ill]
    web.answers[which] = answer
    began = time.monotonic()
    with pytest.raises(NotFoundError if ill == "it has nothing" else RemoteError):
        warmed(tmp_path / "machine")
    assert time.monotonic() - began < _SECONDS.get(ill, 8.0)
    assert hub.requests == []
    assert list(Store(tmp_path / "machine").entries()) == []


S3_ILLS = {
    "throttled": ("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"),
    "denied": ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"),
    "without a bucket": ("404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>"),
}


@pytest.mark.parametrize("what", [".json", ".safetensors"])
@pytest.mark.parametrize("ill", S3_ILLS)
def test_of_a_bucket_too(
    ill: str, what: str, bucket: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pushed_by(tmp_path / "job", monkeypatch)
    hub.clear_log()
    bucket.before = lambda environ: S3_ILLS[ill] if environ["PATH_INFO"].endswith(what) else None
    began = time.monotonic()
    try:
        assert warmed(tmp_path / "machine").weights.read_bytes() == made.weights.read_bytes()
        assert len(hub_paths(hub)) == 2
        hub.clear_log()
        monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
        with pytest.raises(RemoteError):
            warmed(tmp_path / "another")
    finally:
        bucket.before = lambda environ: None
    assert time.monotonic() - began < 20
    assert hub.requests == []


def test_a_store_that_is_not_there_costs_a_moment(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DEPTHHUB_REMOTE", "http://127.0.0.1:1/models")
    warmed(tmp_path / "machine")
    assert "cannot be reached" in caplog.text
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(tmp_path / "not mounted"))
    warmed(tmp_path / "other")
    assert "there is no such folder" in caplog.text


def test_where_the_hub_may_not_be_asked_it_is_not_asked_what_a_branch_is_either(
    hub: LocalHub, filled: Entry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    for source in (f"{REPO}/{FILE}", f"{REPO}@main"):
        with pytest.raises(OfflineError, match="DEPTHHUB_HUB_FALLBACK=0"):
            from_pretrained(source, family="v2")
    monkeypatch.delenv("DEPTHHUB_REMOTE")
    for call in (lambda: prewarm([NAME]), lambda: [plan(Request.parse(NAME))]):
        with pytest.raises(OfflineError, match="DEPTHHUB_HUB_FALLBACK=0"):
            call()
    assert hub.requests == []
