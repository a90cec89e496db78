"""`cache pin` and `unpin`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from depthhub_cache.identity import Key
from depthhub_cache.store import Store

V2 = ("--family", "v2")


def test_what_is_pinned_is_not_collected_until_it_is_unpinned(depthhub, weights, tiny):
    key = weights.parent.name
    outcome = depthhub("cache", "pin", tiny, *V2, "--json")
    assert (outcome.code, outcome.json) == (0, [{"target": str(tiny), "key": key, "pinned": True}])
    assert f"({key[:12]}) is pinned." in outcome.err
    assert "1 pinned" in depthhub("cache", "info").out
    assert depthhub("cache", "gc", "--max-size", "0", "--json").json["freed"] == []
    outcome = depthhub("cache", "unpin", key[:8], "--json")
    assert outcome.json == [{"target": key[:8], "key": key, "pinned": False}]
    assert "is not pinned any more" in outcome.err
    assert "pinned" not in depthhub("cache", "info").out
    assert len(depthhub("cache", "gc", "--max-size", "0", "--json").json["freed"]) == 1


def test_what_was_pinned_is_pinned_when_it_is_made_again(depthhub, weights, tiny):
    depthhub("cache", "pin", weights.parent.name)
    depthhub("cache", "remove", weights.parent.name)
    depthhub("pull", tiny, *V2)
    assert depthhub("cache", "gc", "--max-size", "0", "--json").json["freed"] == []


def test_a_pin_of_what_lies_below_is_said_to_hold_nothing_there(depthhub, weights, cache, tmp_path):
    roots = f"{tmp_path / 'own'}{os.pathsep}{cache}"
    outcome = depthhub("cache", "pin", weights.parent.name, "--cache-dir", roots)
    assert outcome.code == 0
    assert "is pinned here; it lies in a tier that is only read" in outcome.err


def test_a_pin_can_be_taken_from_an_entry_that_is_gone(depthhub, weights, cache):
    key = weights.parent.name
    depthhub("cache", "pin", key)
    depthhub("cache", "remove", key)
    assert depthhub("cache", "unpin", key).code == 0
    assert list((cache / "v1" / "pins").iterdir()) == []


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_pinning_what_is_not_there_is_an_error_and_the_others_are_done(depthhub, weights, tiny, verb):
    outcome = depthhub("cache", verb, "0123456789ab", weights.parent.name, "vitx", "--json")
    assert outcome.code == 3
    missing, done, unknown = outcome.json
    assert (missing["key"], missing["error"]["type"]) == (None, "NotFoundError")
    assert done["pinned"] == (verb == "pin")
    assert unknown["error"]["type"] == "UnknownModelError"
    assert depthhub("cache", verb).code == 2


def test_a_pin_that_cannot_be_written_is_code_8(depthhub, weights, cache):
    (cache / "v1" / "pins").write_text("in the way")
    outcome = depthhub("cache", "pin", weights.parent.name)
    assert outcome.code == 8
    assert "is in the way and is not a folder" in outcome.err


def test_a_pin_that_came_too_late_says_so(depthhub, pulled, cache, monkeypatch):
    pin = Store.pin

    def as_it_is_removed(store: Store, key: Key) -> None:
        store.remove(key)
        pin(store, key)

    monkeypatch.setattr(Store, "pin", as_it_is_removed)
    outcome = depthhub("cache", "pin", pulled)
    assert outcome.code == 3
    assert f"The entry {pulled[:12]} is not in the cache any more" in outcome.err
    assert Store(cache).is_pinned(pulled)


def test_a_pin_waits_for_what_is_put_back(depthhub, pulled, weights, tmp_path, monkeypatch):
    pin = Store.pin

    def as_it_is_out_of_its_place(store: Store, key: Key) -> None:
        weights.parent.rename(tmp_path / "away")
        pin(store, key)

    @contextmanager
    def put_back(store: Store, key: Key) -> Iterator[bool]:
        (tmp_path / "away").rename(weights.parent)
        yield True

    monkeypatch.setattr(Store, "pin", as_it_is_out_of_its_place)
    monkeypatch.setattr(Store, "lock", put_back)
    assert depthhub("cache", "pin", pulled).code == 0
    assert weights.exists()
