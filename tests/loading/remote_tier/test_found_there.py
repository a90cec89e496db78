"""A machine that finds in a remote store what it would have to download and convert."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from depthhub import OfflineError, from_pretrained, prewarm
from depthhub.planning import plan
from depthhub.steps.request import Request
from depthhub.testing import LocalHub
from depthhub_cache.store import Entry

from ...cache.remote import web as answers
from ...cache.remote.s3_server import S3Server
from ...cache.remote.web import Web
from .shelves import FILE, NAME, REPO, hub_paths, pushed_by, warmed

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_out_of_a_folder_or_from_a_web_server_and_the_hub_is_asked_nothing(
    web: Web, filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = warmed(tmp_path / "one")
    assert web.paths() == [f"/models/{filled.key}.json", f"/models/{filled.record.weights_sha256}.safetensors"]
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    copied = warmed(tmp_path / "other")
    assert fetched.weights.read_bytes() == copied.weights.read_bytes() == filled.weights.read_bytes()
    assert hub.requests == []


def test_out_of_a_bucket_into_a_ready_model_and_the_hub_is_asked_nothing(
    bucket: S3Server, hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pushed_by(tmp_path / "job", monkeypatch)
    hub.clear_log()
    bucket.requests.clear()
    model = from_pretrained(NAME, cache_dir=tmp_path / "machine")
    assert hub.requests == []
    assert [request.split()[0] for request in bucket.requests] == ["GET", "GET"]
    assert model.provenance.key == made.key
    assert model.provenance.repo_id == REPO
    expected = from_pretrained(tiny, cache_dir=tmp_path / "no remote", family="v2").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_what_is_here_already_is_asked_of_nobody(web: Web, hub: LocalHub, tmp_path: Path) -> None:
    warmed(tmp_path / "machine")
    web.requests.clear()
    from_pretrained(NAME, cache_dir=tmp_path / "machine")
    assert (web.requests, hub.requests) == ([], [])


def test_a_tier_below_comes_before_the_remote_and_that_before_the_hub(
    web: Web, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed(tmp_path / "image")
    web.requests.clear()
    (made,) = prewarm([NAME], cache_dir=f"{tmp_path / 'own'}{os.pathsep}{tmp_path / 'image'}")
    assert (made.cached, web.requests, hub.requests) == (True, [], [])
    web.files.clear()
    warmed(tmp_path / "machine")
    assert len(web.requests) == 1  # no record, so no weights are asked for
    assert len(hub_paths(hub)) == 2  # the way to the file, and the file
    assert all(FILE in path for path in hub_paths(hub))


def test_nothing_of_torch_is_needed_to_fetch(web: Web, cache: Path, python: Callable[..., object]) -> None:
    python(
        "import sys\n"
        "from depthhub import prewarm\n"
        f"[made] = prewarm([{NAME!r}])\n"
        "assert not made.cached\n"
        "assert 'torch' not in sys.modules and 'huggingface_hub' not in sys.modules"
    )


def test_a_file_of_this_machine_is_converted_and_not_looked_for_there(
    web: Web, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    assert not prewarm([tiny], family="v2", cache_dir=tmp_path / "machine")[0].cached
    assert web.requests == []


def test_without_a_network_a_mounted_folder_is_asked_and_a_server_is_not(
    web: Web, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OfflineError):
        warmed(tmp_path / "machine", offline=True)
    with pytest.raises(OfflineError):
        plan(Request.parse(NAME, cache_dir=tmp_path / "machine", offline=True))
    assert web.requests == []
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    warmed(tmp_path / "machine", offline=True)


def test_what_a_prewarm_would_fetch_from_there_can_be_told(web: Web, filled: Entry, hub: LocalHub, cache: Path) -> None:
    planned = plan(Request.parse(NAME))
    assert (planned.origin, planned.bytes) == ("remote", filled.record.weights_size)
    assert web.paths() == [f"/models/{filled.key}.json"]
    assert hub.requests == []
    web.answers["json"] = answers.status(503)
    assert plan(Request.parse(NAME)).origin == "hub"


@pytest.mark.parametrize("there", [True, False])
def test_a_model_goes_when_nobody_has_it_any_more(
    hub: LocalHub, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """Not at the next collection of garbage: an error that was caught on the way must not hold on to its callers."""
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    if there:
        pushed_by(tmp_path / "job", monkeypatch)
    gc.collect()
    gc.disable()
    try:
        model = weakref.ref(from_pretrained(NAME, cache_dir=tmp_path / "machine"))
        assert model() is None
    finally:
        gc.enable()
    assert list((tmp_path / "machine" / "v1" / "leases").iterdir()) == []
