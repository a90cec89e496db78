"""A job that fills a remote store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from depthhub import RemoteError, RemoteSetupError, SettingsError, from_pretrained, prewarm
from depthhub.testing import LocalHub
from depthhub_cache.store import Store

from ...cache.remote.s3_server import S3Server
from .shelves import NAME, warmed

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_it_is_only_read_until_somebody_says_push(
    hub: LocalHub, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    (made,) = prewarm([NAME], cache_dir=tmp_path / "machine")
    assert made.pushed is None
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    from_pretrained(NAME, cache_dir=tmp_path / "machine")  # an application fills nothing
    assert list(shelf.iterdir()) == []
    assert [one.pushed for one in prewarm([NAME], cache_dir=tmp_path / "machine")] == [True]
    assert [one.pushed for one in prewarm([NAME], cache_dir=tmp_path / "machine")] == [False]


@pytest.mark.parametrize(
    ("remote", "kind"),
    [("", SettingsError), ("http://127.0.0.1:1/models", RemoteSetupError), ("s3:///", RemoteSetupError)],
)
def test_where_nothing_can_be_pushed_to_nothing_is_downloaded(
    remote: str, kind: type[Exception], hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_REMOTE", remote)
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    with pytest.raises(kind):
        prewarm([NAME])
    assert hub.requests == []


def test_jobs_that_push_the_same_at_once_do_no_harm(
    bucket: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "depthhub", "pull", NAME, "--push", "--json", "--cache-dir"]
    jobs = [
        subprocess.Popen([*command, str(tmp_path / f"job{number}")], stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    told = [json.loads(job.communicate(timeout=120)[0]) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert any(one["pushed"] for (one,) in told)
    hub.close()
    fetched = warmed(tmp_path / "machine")
    assert bucket.client().list_objects_v2(Bucket=_bucket_of(os.environ["DEPTHHUB_REMOTE"]))["KeyCount"] == 2
    assert fetched.key == told[0][0]["key"]


def _bucket_of(address: str) -> str:
    return address.removeprefix("s3://").partition("/")[0]


def test_a_push_that_fails_is_an_error_and_the_entry_is_here(
    bucket: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.before = lambda environ: (
        ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>") if environ["REQUEST_METHOD"] != "GET" else None
    )
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    try:
        with pytest.raises(RemoteError, match="access is denied"):
            prewarm([NAME], cache_dir=tmp_path / "job")
    finally:
        bucket.before = lambda environ: None
    assert len(list(Store(tmp_path / "job").entries())) == 1
