"""Lockfiles that several commands change, and several sources that are one file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from depthhub import IntegrityError, NotLockedError, from_pretrained, lock, locking
from depthhub.conversion import convert_file
from depthhub.lockfile import LockedModel, Lockfile
from depthhub.planning import plan
from depthhub.steps.request import Request
from depthhub.testing import LocalHub, make_checkpoint
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

BUILD = {"family": "v2-metric", "max_depth": 20, "taps": "spread", "activation": "sigmoid"}


@pytest.mark.parametrize("by", ["lock --add", "lock --update"])
def test_commands_that_change_one_lockfile_at_once_lose_nothing(
    local_hub: LocalHub, tiny: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    file, sources = tmp_path / "depthhub.lock", [f"me/{name}/w.pth" for name in "abcd"]
    for source in sources:
        local_hub.add_file(source.removesuffix("/w.pth"), "w.pth", tiny)
    lock(sources[:1] if by == "lock --add" else sources, file, family="v2")
    before = {model.commit for model in Lockfile.read(file).models}
    for at, source in enumerate(sources, 1):
        moved = make_checkpoint(tmp_path / f"{at}.pth", encoder="tiny", seed=at)
        local_hub.add_file(source.removesuffix("/w.pth"), "w.pth", moved)
    written = locking._written

    def slowly(*args: Any) -> Lockfile:
        time.sleep(0.2)
        return written(*args)

    monkeypatch.setattr(locking, "_written", slowly)

    def change(source: str) -> None:
        if by == "lock --add":
            lock([source], file, add=True, family="v2")
        else:
            locking.update(file, [source])

    with ThreadPoolExecutor(len(sources)) as pool:
        list(pool.map(change, sources))
    models = Lockfile.read(file).models
    assert [model.repo_id for model in models] == ["me/a", "me/b", "me/c", "me/d"]
    assert before.isdisjoint(model.commit for model in models)
    assert sorted(tmp_path.glob("*.lock*")) == [file], "nothing is left beside it"


def test_a_dtype_that_is_added_during_an_update_stays(
    local_hub: LocalHub, tiny: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "depthhub.lock"
    local_hub.add_file("me/a", "w.pth", tiny)
    lock(["me/a/w.pth"], file, family="v2")
    made = locking._locked

    def with_another_meanwhile(requests: Sequence[Request]) -> list[LockedModel]:
        monkeypatch.setattr(locking, "_locked", made)
        models = made(requests)
        lock(["me/a/w.pth"], file, add=True, family="v2", dtype="float16")
        return models

    monkeypatch.setattr(locking, "_locked", with_another_meanwhile)
    locking.update(file, ["me/a/w.pth"])
    assert sorted(model.recipe.dtype or "its own" for model in Lockfile.read(file).models) == ["float16", "its own"]


def test_a_source_is_not_what_another_source_of_the_same_file_is_locked_as(
    local_hub: LocalHub, tiny: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "depthhub.lock"
    local_hub.add_file("o/r", "w.pth", tiny)
    lock(["o/r/w.pth"], file, family="v2-metric", max_depth=80)
    mine = checkpoint("mine", repo_id="o/r", filename="w.pth", build=BUILD)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", mine)))
    lock(["mine"], file, add=True)
    with pytest.raises(NotLockedError, match=r"it has it as v2-metric up to 80 m in the dtype of the checkpoint\."):
        from_pretrained("o/r/w.pth", lockfile=file)
    assert from_pretrained("mine", lockfile=file).config.max_depth == 20
    assert from_pretrained(tiny, family="v2-metric", max_depth=20, lockfile=file).config.max_depth == 20


def test_whoever_may_mean_two_locked_builds_of_a_file_has_to_say_which(
    local_hub: LocalHub, tiny: Path, cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "depthhub.lock"
    commit = local_hub.add_file("o/r", "w.pth", tiny)
    for branch in ("indoor", "outdoor"):
        local_hub.point("o/r", branch, commit)
    lock(["o/r/w.pth@outdoor"], file, family="v2-metric", max_depth=80)
    assert from_pretrained(f"o/r/w.pth@{commit}", lockfile=file).config.max_depth == 80
    lock(["o/r/w.pth@indoor"], file, add=True, family="v2-metric", max_depth=20)
    with pytest.raises(NotLockedError, match=r"several models .*: hf://o/r@indoor/w.pth, hf://o/r@outdoor/w.pth\. Ask"):
        from_pretrained(f"o/r/w.pth@{commit}", lockfile=file)
    assert from_pretrained("o/r/w.pth@outdoor", lockfile=file).config.max_depth == 80


@pytest.mark.parametrize("look", ["lock --check", "pull --dry-run --refresh"])
def test_whoever_only_looks_changes_nothing_for_others(
    local_hub: LocalHub, tiny: Path, cache: Path, tmp_path: Path, look: str
) -> None:
    file = tmp_path / "depthhub.lock"
    local_hub.add_file("o/r", "w.pth", tiny)
    (locked,) = lock(["o/r/w.pth"], file, family="v2").models
    moved = local_hub.add_file("o/r", "w.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    if look == "lock --check":
        assert {stale.now for stale in locking.check(file)[1]} >= {moved}
    else:
        assert plan(Request.parse("o/r/w.pth", family="v2", refresh=True)).origin == "hub"
    local_hub.close()
    assert from_pretrained("o/r/w.pth", family="v2").provenance.commit == locked.commit


def test_a_standing_budget_takes_none_of_what_is_locked_at_once(
    local_hub: LocalHub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, sources = tmp_path / "depthhub.lock", [f"me/{name}/w.pth" for name in "abc"]
    for seed, source in enumerate(sources):
        weights = make_checkpoint(tmp_path / f"{seed}.pth", encoder="tiny", seed=seed)
        local_hub.add_file(source.removesuffix("/w.pth"), "w.pth", weights)
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", "1000")
    locked = lock(sources, file, family="v2")
    assert {entry.key for entry in Store(cache).entries()} == {model.key for model in locked.models}


def test_nothing_is_converted_under_a_lockfile_but_what_is_locked(
    local_hub: LocalHub, tiny: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_hub.add_file("o/r", "w.pth", tiny)
    lock(["o/r/w.pth"], tmp_path / "depthhub.lock", family="v2")
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(tmp_path / "depthhub.lock"))
    out = tmp_path / "out.safetensors"
    with pytest.raises(NotLockedError):
        convert_file(tiny, out, family="v2-metric", max_depth=20)
    assert not out.exists()
    assert convert_file(tiny, out, family="v2").family == "v2"
    text = (tmp_path / "depthhub.lock").read_text()
    (weights,) = {model.weights_sha256 for model in Lockfile.read(tmp_path / "depthhub.lock").models}
    (tmp_path / "depthhub.lock").write_text(text.replace(weights, "0" * 64))
    with pytest.raises(IntegrityError, match="the conversion has converted weights of sha256"):
        convert_file(tiny, out, family="v2", replace=True)
