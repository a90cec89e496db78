"""A look that the system refuses (a lost handle of a network file system, a bad block) spoils nothing that is done."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthhub_cache import disk
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.errors import CacheError, CacheNotWritableError
from depthhub_cache.store import Store

from .samples import hash_of, key_of, publish

Refuse = Callable[[Callable[[Path], bool]], None]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """From now on nobody is told of the paths that it is given a test of."""

    def refuse_looks(hidden: Callable[[Path], bool]) -> None:
        look = Path.stat

        def refused(path: Path, **options: Any) -> os.stat_result:
            if hidden(path):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            return look(path, **options)

        monkeypatch.setattr(Path, "stat", refused)

    return refuse_looks


def test_what_was_published_counts_though_what_is_left_cannot_be_looked_at(store: Store, refuse: Refuse) -> None:
    with store.stage() as staging:
        staging.add("left", b"rubbish")
        refuse(lambda path: path == staging.path)
    assert disk.tree_size(staging.path) == 0
    assert publish(store, "vits").weights.exists()


def test_an_entry_whose_folder_cannot_be_looked_at_can_be_imported_again(store: Store, refuse: Refuse) -> None:
    folder, archive = publish(store, "vits").path, io.BytesIO()
    export_bundle(store, [key_of("vits")], {}, archive.write)
    archive.seek(0)
    refuse(lambda path: path == folder)
    assert [imported.state for imported in import_bundle(store, archive, Path("models.tar")).entries] == ["kept"]


def test_what_cannot_be_given_back_is_a_typed_error_and_is_not_lost(store: Store, refuse: Refuse) -> None:
    entry = publish(store, "vits")
    refuse(lambda path: path.parent.name == "quarantine")
    with pytest.raises(CacheNotWritableError):
        store.quarantine(entry.path, "it is not what failed", still=lambda _: False)
    [place] = (store.root / "v1" / "quarantine").iterdir()
    assert (place / "weights.safetensors").exists()


def test_a_kept_original_that_cannot_be_looked_at_may_be_one(store: Store, refuse: Refuse) -> None:
    data = b"an original"
    with store.stage() as staging:
        path = store.keep(staging.add("vits.pth", data), hash_of(data))
    refuse(lambda other: other == path)
    assert store.kept(hash_of(data)) == path
    assert dict(store.kept_checkpoints()) == {hash_of(data): path}


def test_what_is_in_the_way_is_named_though_it_cannot_be_looked_at(tmp_path: Path, refuse: Refuse) -> None:
    (tmp_path / "file").touch()
    refuse(lambda path: path == tmp_path.parent)
    with pytest.raises(CacheError, match="is in the way"):
        Store(tmp_path / "file" / "cache").remember("name", {})
