"""The original of an entry: used where it lies, kept where that is wished, and else gone."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from depthhub import CheckpointError, from_pretrained, prewarm
from depthhub.progress import Progress
from depthhub.testing import LocalHub
from depthhub_cache.collection import Budget
from depthhub_cache.store import Store

from .conftest import golden_difference
from .on_the_hub import FILE, REPO, SOURCE

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_a_file_in_the_hubs_own_cache_is_used_where_it_lies(
    local_hub: LocalHub, pinned: str, commit: str, hub_environment: Path
) -> None:
    from huggingface_hub import hf_hub_download

    theirs = Path(
        hf_hub_download(REPO, FILE, revision=commit, endpoint=local_hub.endpoint, cache_dir=hub_environment / "hub")
    )
    local_hub.clear_log()
    model = from_pretrained(pinned, offline=True)
    assert golden_difference(model, "v2-tiny") <= 1e-4
    assert local_hub.requests == []
    assert theirs.exists()


def test_a_damaged_file_in_the_hubs_own_cache_is_left_alone_and_not_used(
    local_hub: LocalHub, pinned: str, commit: str, hub_environment: Path
) -> None:
    from huggingface_hub import hf_hub_download

    theirs = Path(
        hf_hub_download(REPO, FILE, revision=commit, endpoint=local_hub.endpoint, cache_dir=hub_environment / "hub")
    ).resolve()
    damaged = bytearray(theirs.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    theirs.write_bytes(damaged)
    assert golden_difference(from_pretrained(pinned), "v2-tiny") <= 1e-4
    assert theirs.read_bytes() == damaged


def test_the_original_goes_unless_it_is_to_be_kept(
    local_hub: LocalHub, pinned: str, tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tiny.read_bytes()

    def copies() -> list[Path]:
        return [path for path in cache.rglob("*") if path.is_file() and path.read_bytes() == content]

    prewarm([pinned], dtype="float16")
    assert copies() == []
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    prewarm([pinned])
    assert len(copies()) == 1
    local_hub.clear_log()
    prewarm([pinned], dtype="bfloat16")  # made from the kept original
    assert local_hub.requests == []


def test_an_original_that_is_used_is_not_collected_for_its_age(
    local_hub: LocalHub, pinned: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    prewarm([pinned])
    a_year_ago = time.time() - 365 * 86400
    for path in cache.rglob("*"):
        os.utime(path, (a_year_ago, a_year_ago), follow_symlinks=False)
    local_hub.close()
    monkeypatch.setenv("DEPTHHUB_MAX_AGE", "30d")
    for dtype in ("float16", "bfloat16"):
        prewarm([pinned], dtype=dtype)


def test_an_original_is_kept_though_it_cannot_be_converted(
    local_hub: LocalHub, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download is dear: the next try, with other options or a later version, does without."""
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    torch.save({"no.depth.model": torch.zeros(3)}, tmp_path / "other.pth")
    local_hub.add_file("owner/other", "other.pth", tmp_path / "other.pth")
    with pytest.raises(CheckpointError):
        prewarm(["owner/other/other.pth"], family="v2")
    local_hub.clear_log()
    with pytest.raises(CheckpointError):
        prewarm(["owner/other/other.pth"], family="v2")
    assert [request for request in local_hub.requests if request.method == "GET"] == []


@pytest.mark.parametrize("first", ["Thumbs.db", "a damaged one above"])
def test_a_kept_original_is_found_behind_what_is_not_it(
    local_hub: LocalHub, commit: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    prewarm([SOURCE], family="v2")
    [(_, kept)] = Store(cache).kept_checkpoints()
    roots = str(cache)
    if first == "Thumbs.db":
        kept.with_name(first).write_bytes(b"pictures")
    else:
        shutil.copytree(cache, above := tmp_path / "above")
        (above / kept.relative_to(cache)).write_bytes(kept.read_bytes()[:-1] + b"?")
        roots = f"{above}{os.pathsep}{cache}"
    local_hub.close()
    assert not prewarm([SOURCE], family="v2", dtype="float16", offline=True, cache_dir=roots)[0].cached


def test_an_original_is_kept_whatever_its_name_is(
    local_hub: LocalHub, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    local_hub.add_file("owner/dot", ".tiny.pth", tiny)
    prewarm(["owner/dot/.tiny.pth"], family="v2")
    local_hub.clear_log()
    prewarm(["owner/dot/.tiny.pth"], family="v2", dtype="float16")
    assert local_hub.requests == []


def test_a_kept_original_that_is_being_converted_is_not_collected(
    local_hub: LocalHub, pinned: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    prewarm([pinned], dtype="float16")
    spared: list[str] = []

    def collect(progress: Progress) -> None:
        if progress.stage == "converting":
            collected = Store(cache).collect(Budget(max_size=0))
            spared.extend(decision.item.kind for decision in collected.spared)

    [done] = prewarm([pinned], dtype="bfloat16", progress=collect)
    assert "checkpoint" in spared
    assert Store(cache).get(done.key) is not None
    assert [d.item.kind for d in Store(cache).collect(Budget(max_size=0)).freed].count("checkpoint") == 1
