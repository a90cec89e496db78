"""The label of the cache's folder is put on a cache, and on nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from depthhub_cache.store import Store

from .children import in_a_child, needs_fork
from .samples import publish


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_cache_is_labelled_once(store: Store) -> None:
    publish(store, "vits")
    assert names_in(store.root) == {"v1", "README", "CACHEDIR.TAG"}
    (store.root / "README").unlink()
    publish(store, "vitl")
    assert names_in(store.root) == {"v1", "CACHEDIR.TAG"}


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_folder_that_holds_other_things_is_not(tmp_path: Path, through_a_link: bool) -> None:
    place, root = tmp_path / "place", tmp_path / "cache"
    place.mkdir()
    (place / "thesis.tex").write_text("three years")
    if through_a_link:
        root.symlink_to(place, target_is_directory=True)
    publish(Store(root if through_a_link else place), "vits")
    assert names_in(place) == {"v1", "thesis.tex"}


@needs_fork
def test_a_folder_that_does_not_show_what_it_holds_is_not(open_folder: Path) -> None:
    root = open_folder / "cache"
    root.mkdir()
    (root / "thesis.tex").write_text("three years")
    root.chmod(0o333)
    in_a_child(lambda: publish(Store(root), "vits").key, as_nobody=True)
    assert names_in(root) == {"v1", "thesis.tex"}


def test_a_label_that_cannot_be_looked_at_keeps_nobody_from_working(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, "vits")
    stat = Path.stat

    def failing(path: Path, **options: Any) -> os.stat_result:
        if path.name == "CACHEDIR.TAG":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", failing)
    assert publish(store, "vitl").weights.is_file()


@pytest.mark.parametrize("name", ["README", "v1/notes.txt"])
def test_what_somebody_has_written_there_is_neither_written_over_nor_kept_out_of_backups(
    tmp_path: Path, name: str
) -> None:
    root = tmp_path / "place"
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text("ten years of notes")
    publish(Store(root), "vits")
    assert (root / name).read_text() == "ten years of notes"
    assert not (root / "CACHEDIR.TAG").exists()


def test_a_label_that_was_left_half_done_is_finished(store: Store) -> None:
    publish(store, "vits")
    (store.root / "CACHEDIR.TAG").unlink()
    publish(store, "vitb")
    assert names_in(store.root) == {"v1", "README", "CACHEDIR.TAG"}
