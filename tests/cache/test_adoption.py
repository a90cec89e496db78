"""Who comes second adopts what the first one published, after reading every byte: sound bytes are at hand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.entry import Entry
from depthhub_cache.store import Store

from .samples import key_of, publish

KEY = key_of("vits")


def flipped(entry: Entry) -> Entry:
    data = bytearray(entry.weights.read_bytes())
    data[-1] ^= 1
    entry.weights.write_bytes(data)
    return entry


def test_a_sound_entry_is_adopted(store: Store) -> None:
    first = publish(store, "vits", turn=1)
    assert publish(store, "vits", turn=2) == first
    assert list(store.set_aside()) == []


@pytest.mark.parametrize("quick", [True, False])
def test_a_damaged_one_is_set_aside_and_made_anew(store: Store, quick: bool) -> None:
    first = publish(store, "vits", turn=1)
    if quick:
        first.weights.write_bytes(b"cut")
    else:
        flipped(first)
    second = publish(store, "vits", turn=2)
    assert second.record.about["turn"] == 2
    assert store.verify(KEY, deep=True) == second
    [item] = store.set_aside()
    assert ("sha256" in item.reason) != quick


def test_a_damaged_one_that_is_given_back_during_an_import_is_not_what_was_imported(store: Store) -> None:
    """A collection has it in its hands when the import looks, and gives it back: the import has it open."""
    entry, archive = publish(store, "vits"), io.BytesIO()
    export_bundle(store, [KEY], {}, archive.write)
    hands = store.root / "v1" / "hands"
    flipped(entry).path.rename(hands)
    archive.seek(0)
    lease = store.lease

    def gives_back(of: Entry | object) -> object:
        hands.rename(entry.path)
        return lease(of)  # type: ignore[arg-type]

    store.lease = gives_back  # type: ignore[method-assign,assignment]
    [imported] = import_bundle(store, archive, Path("models.tar")).entries
    assert store.verify(KEY, deep=True) == imported.entry
    assert len(list(store.set_aside())) == 1
