"""Whatever a remote serves, what is got is nothing, an error, or what the job has put there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache.errors import RemoteError
from depthhub_cache.store import Store

from ..samples import files_under, memory_folder, publish
from .places import FolderShelf, fetched, objects_of, remote_at

Cut = tuple[str, int, bytes]

CUTS = st.tuples(
    st.sampled_from(["replace", "insert", "remove", "end", "instead"]), st.integers(0, 700), st.binary(max_size=40)
)


def spoiled(data: bytes, cut: Cut) -> bytes:
    how, at, new = cut
    at = min(at, len(data))
    if how == "instead":
        return new
    if how == "end":
        return data[:at]
    return data[:at] + (new if how != "remove" else b"") + data[at + (len(new) if how != "insert" else 0) :]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), CUTS), min_size=1, max_size=3), st.booleans())
def test_damage_of_any_kind_gives_nothing_or_an_error_or_the_entry(cuts: list[tuple[int, Cut]], gone: bool) -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as root:
        folder = FolderShelf(Path(root) / "remote")
        folder.folder.mkdir()
        entry = publish(Store(Path(root) / "job"), "vits")
        objects = list(objects_of(entry).items())
        for which, cut in cuts:
            objects[which] = (objects[which][0], spoiled(objects[which][1], cut))
        for name, data in objects[gone:]:
            folder.put(name, data)
        store = Store(Path(root) / "cache")
        try:
            there = fetched(remote_at(folder.url), entry, store)
        except RemoteError:
            there = None
        if there is None:
            assert files_under(store.root / "v1") == {}
        else:
            assert there.record == entry.record
            assert there.weights.read_bytes() == entry.weights.read_bytes()
        assert not (store.root / "v1" / "tmp").exists() or list((store.root / "v1" / "tmp").iterdir()) == []
        assert remote_at(folder.url).push(entry) in ("pushed", "was there")


@pytest.mark.parametrize("position", range(0, 500, 25))
def test_every_bit_counts(position: int, folder: FolderShelf, store: Store, another: Store) -> None:
    entry = publish(store, "vits")
    for name, data in objects_of(entry).items():
        at = position % len(data)
        folder.put(name, data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        for other, sound in objects_of(entry).items():
            if other != name:
                folder.put(other, sound)
        with pytest.raises(RemoteError):
            fetched(remote_at(folder.url), entry, another)
