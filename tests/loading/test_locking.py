"""Lockfiles that several commands change, and several sources that are one file."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from depthhub import NotLockedError, from_pretrained, lock, locking
from depthhub.lockfile import Lockfile
from depthhub.testing import LocalHub, make_checkpoint

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
