"""A release as a remote store: its assets, behind GitHub's redirects, are what DEPTHHUB_REMOTE can point to."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from depthhub import from_pretrained, prewarm
from depthhub.cli import main as depthhub
from depthhub.errors import IntegrityError, NotFoundError, RemoteError
from depthhub.lockfile import Lockfile
from depthhub.testing import LocalHub

from .conftest import TAG, Run
from .github_server import REPOSITORY, GitHubServer

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def remote(
    release: Run,
    catalog: Path,
    packages: Path,
    github: GitHubServer,
    local_hub: LocalHub,
    hub_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The address of a published release, in force; the cache is empty, and nobody has asked anything yet."""
    for step in ("models", "manifest", "upload", "publish"):
        assert release(step) == 0
    address = f"{github.urls['web']}/{REPOSITORY}/releases/download/{TAG}"
    monkeypatch.setenv("DEPTHHUB_REMOTE", address)
    local_hub.clear_log()
    github.requests.clear()
    return address


@pytest.fixture
def lockfile(remote: str, github: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lockfile:
    """The release's own, downloaded as its notes say, and in force."""
    path = tmp_path / "depthhub.lock"
    with urllib.request.urlopen(f"{remote}/depthhub.lock") as answer:
        path.write_bytes(answer.read())
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(path))
    github.requests.clear()
    return Lockfile.read(path)


def test_with_its_lockfile_every_model_comes_from_the_release_and_nobody_asks_the_hub(
    lockfile: Lockfile, github: GitHubServer, local_hub: LocalHub, out: Path
) -> None:
    made = prewarm()
    assert [there.source for there in made] == ["demo-one", "demo-two"]
    for there, model in zip(made, lockfile.models, strict=True):
        staged = out / "models" / f"{model.weights_sha256}.safetensors"
        assert there.path.read_bytes() == staged.read_bytes()
    assert local_hub.requests == []
    assert from_pretrained("demo-one").provenance.licence == "apache-2.0"


def test_an_object_is_one_request_to_github_and_one_to_the_host_it_sends_to_without_a_head(
    lockfile: Lockfile, github: GitHubServer
) -> None:
    prewarm(["demo-one"])
    model = lockfile.models[0]
    names = (f"{model.key}.json", f"{model.weights_sha256}.safetensors")
    assert [(role, method) for role, method, _ in github.requests] == [("web", "GET"), ("storage", "GET")] * 2
    assert [path.rpartition("/")[2] for role, _, path in github.requests if role == "web"] == [*names]
    assert all("X-Amz-Signature=" in path for role, _, path in github.requests if role == "storage")
    assert github.told_elsewhere == []


def test_the_command_line_of_the_notes_works(lockfile: Lockfile, local_hub: LocalHub, capsys) -> None:
    assert depthhub(["pull", "--locked", "--quiet"]) == 0
    assert depthhub(["verify", "--deep"]) == 0
    assert local_hub.requests == []


def test_a_pinned_model_needs_no_lockfile_and_what_is_withheld_comes_from_the_hub(
    remote: str, github: GitHubServer, local_hub: LocalHub
) -> None:
    prewarm(["demo-one"])
    assert local_hub.requests == []
    github.requests.clear()
    prewarm(["demo-closed"])
    assert [(role, method) for role, method, _ in github.requests] == [("web", "GET")], "the page that says 404"
    assert [asked for asked in local_hub.requests if asked.host == "cdn"]


def test_a_release_that_is_still_a_draft_is_not_there(
    lockfile: Lockfile, github: GitHubServer, local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.release(TAG)["draft"] = True
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    with pytest.raises(NotFoundError, match="the Hub may not be asked"):
        prewarm(["demo-one"])
    monkeypatch.delenv("DEPTHHUB_HUB_FALLBACK")
    assert prewarm(["demo-one"])


@pytest.mark.parametrize("what", ["other numbers", "a web page", "half of it", "another record"])
def test_assets_that_are_not_what_was_released_are_refused_and_the_hub_is_asked(
    what: str, lockfile: Lockfile, github: GitHubServer, local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = lockfile.models
    weights, record = f"{one.weights_sha256}.safetensors", f"{one.key}.json"
    data = github.stored[weights]
    match what:
        case "other numbers":
            github.stored[weights] = data[:-1] + bytes([data[-1] ^ 1])
        case "a web page":
            github.stored[weights] = b"<!DOCTYPE html><title>Sign in"
        case "half of it":
            github.stored[weights] = data[: len(data) // 2]
        case _:
            github.stored[record] = github.stored[f"{two.key}.json"]
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    with pytest.raises((RemoteError, IntegrityError)):
        prewarm(["demo-one"])
    monkeypatch.delenv("DEPTHHUB_HUB_FALLBACK")
    (there,) = prewarm(["demo-one"])
    assert there.path.read_bytes() == data
    assert local_hub.requests


def test_a_record_that_names_other_weights_does_not_get_past_the_lockfile(
    lockfile: Lockfile, github: GitHubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may change a release can make a whole entry of other numbers; what was locked before tells."""
    from depthhub_cache.record import Record

    one, two = lockfile.models
    name = f"{one.key}.json"
    record = Record.parse(github.stored[name])
    other = Record.parse(github.stored[f"{two.key}.json"])
    forged = record._replace(weights_sha256=other.weights_sha256, header_sha256=other.header_sha256)
    github.stored[name] = forged.to_bytes()
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    with pytest.raises(IntegrityError):
        prewarm(["demo-one"])
