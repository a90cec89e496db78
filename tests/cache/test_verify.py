"""What is wrong with an entry is found and named: truncations and bad headers quickly, every flipped bit deeply."""

from __future__ import annotations

import json
import os
import random
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache import verification
from depthhub_cache.entry import Entry
from depthhub_cache.errors import BrokenEntryError, CacheError
from depthhub_cache.safetensors_header import check_header
from depthhub_cache.store import Store

from .samples import key_of, publish, weights_of


def test_a_sound_entry_passes(store: Store) -> None:
    entry = publish(store, "vits")
    for deep in (False, True):
        store.verify(entry, deep=deep)
        store.verify(entry.key, deep=deep)


def test_every_truncation_and_every_lengthening_is_found_quickly(store: Store) -> None:
    entry = publish(store, "vits")
    whole = entry.weights.read_bytes()
    for size in [*range(len(whole)), len(whole) + 1, len(whole) * 2]:
        entry.weights.write_bytes((whole * 2)[:size])
        with pytest.raises(BrokenEntryError, match=f"has {size:,} bytes instead of {len(whole):,}") as caught:
            store.verify(entry, deep=False)
        assert caught.value.path == entry.path
        assert store.get(entry.key) is None


def test_every_flipped_bit_is_found_deeply(store: Store) -> None:
    entry = publish(store, "vits")
    whole = entry.weights.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        entry.weights.write_bytes(flipped)
        with pytest.raises(BrokenEntryError, match=r"is damaged|has sha256 \w{64} instead of"):
            store.verify(entry, deep=True)
    entry.weights.write_bytes(whole)
    store.verify(entry, deep=True)


def test_a_record_with_flipped_bits_is_never_a_crash_and_never_of_another_key(store: Store) -> None:
    entry = publish(store, "vits")
    record = entry.path / "entry.json"
    whole = record.read_bytes()
    rng = random.Random(1)
    for _ in range(1000):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        record.write_bytes(flipped)
        found = store.get(entry.key)
        if found is not None:
            assert found.record.key == entry.key
            assert found.weights.parent == entry.path
        try:
            store.verify(entry, deep=True)
        except BrokenEntryError:
            continue
        assert found is not None
        assert found.record.weights_sha256 == entry.record.weights_sha256
    for size in range(len(whole) - 2):
        record.write_bytes(whole[:size])
        with pytest.raises(BrokenEntryError, match=r"entry\.json is damaged"):
            store.verify(entry, deep=False)


def test_whoever_verifies_an_entry_is_told_which_one_that_was(store: Store) -> None:
    damaged = publish(store, "vits")
    flipped = bytearray(damaged.weights.read_bytes())
    flipped[-1] ^= 1
    damaged.weights.write_bytes(flipped)
    damaged.path.rename(store.root / "v1" / "in the hands of a collection")
    sound = publish(store, "vits", since="it was missing")
    for deep in (False, True):
        assert store.verify(damaged, deep=deep) == store.verify(sound.key, deep=deep) == sound


def test_what_is_verified_is_the_file_that_was_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, times = publish(store, "vits"), list[int]()
    whole, check = entry.weights.read_bytes(), verification._check_frame

    def meanwhile(found: Entry) -> None:
        """The first time another one took its place after it was found, and another record with it."""
        check(found)
        times.append(found.state[1])
        if len(times) == 1:
            entry.weights.unlink()
            entry.weights.write_bytes(whole)
            os.utime(entry.weights, ns=(0, times[0] + 1))

    monkeypatch.setattr(verification, "_check_frame", meanwhile)
    assert store.verify(entry.key, deep=True).state[1] == times[0] + 1
    assert times == [times[0], times[0] + 1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_that_takes_the_place_of_weights_meanwhile_is_named_and_not_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = publish(store, "vits")

    def meanwhile(found: Entry) -> None:
        found.weights.unlink()
        os.mkfifo(found.weights)

    monkeypatch.setattr(verification, "_check_frame", meanwhile)
    with pytest.raises(BrokenEntryError, match="is not a file"):
        store.verify(entry.key, deep=True)


def test_what_is_replaced_each_time_is_an_error_and_not_broken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = publish(store, "vits")

    def meanwhile(found: Entry) -> None:
        os.utime(entry.weights, ns=(0, found.state[1] + 1))

    monkeypatch.setattr(verification, "_check_frame", meanwhile)
    with pytest.raises(CacheError, match="was replaced each time") as caught:
        store.verify(entry.key, deep=True)
    assert not isinstance(caught.value, BrokenEntryError)


def test_an_entry_that_is_not_there_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(BrokenEntryError, match="it is not there"):
        store.verify(key_of("vits"), deep=False)


def test_an_entry_under_a_wrong_key_is_found(store: Store) -> None:
    entry = publish(store, "vits")
    wrong = store.root / "v1" / "entries" / key_of("vitb")[:2] / key_of("vitb")
    wrong.parent.mkdir(exist_ok=True)
    entry.path.rename(wrong)
    assert store.get(key_of("vitb")) is None
    with pytest.raises(BrokenEntryError, match=f"entry.json is that of entry {entry.key}"):
        store.verify(key_of("vitb"), deep=False)


def _file(folder: Path, header: object, data: int = 8) -> tuple[Path, int]:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path, 8 + len(text) + data


def _tensor(begin: object, end: object, shape: object = (2,), dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({}, 0),
        ({"a": _tensor(0, 8)}, 8),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' + b" " * 10, 8),
        ({"b": _tensor(8, 16), "a": _tensor(0, 8), "__metadata__": {"x": "y"}}, 16),
        ({"a": _tensor(0, 0, [0]), "b": _tensor(0, 4, [])}, 4),
        ({"a": _tensor(0, 8, [2, 2], "BF16")}, 8),
    ],
)
def test_a_whole_header_passes(tmp_path: Path, header: object, data: int) -> None:
    check_header(*_file(tmp_path, header, data))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"a": _tensor(0, 4, [1])},
        {"a": _tensor(0, 12, [3])},
        {"a": _tensor(4, 8, [1])},
        {"a": _tensor(0, 8, [3])},
        {"a": _tensor(0, 8, [2], "F64")},
        {"a": _tensor(0, 8, [2], "G32")},
        {"a": _tensor(0, 8, [-2])},
        {"a": _tensor(0, 8, [2.0])},
        {"a": _tensor(0, 8, 2)},
        {"a": _tensor(8, 0, [2])},
        {"a": _tensor(0, 8), "b": _tensor(0, 8)},
        {"a": {"dtype": "F32"}},
        {"a": _tensor(0, 8, dtype=[])},
        {"a": 3},
        {"a": _tensor(0, 8), "__metadata__": {"x": 1}},
        {"a": _tensor(0, 8), "__metadata__": None},
        [],
        b"",
        b"{",
        b"\xff\xff",
        b"[" * 100_000,
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused_in_words(tmp_path: Path, header: object) -> None:
    with pytest.raises(ValueError, match=r"\w \w"):
        check_header(*_file(tmp_path, header))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: len(data).to_bytes(8, "little") + data))
def test_no_bytes_make_the_check_of_a_header_crash(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(data)
        with suppress(ValueError):
            check_header(path, len(data))


def test_a_header_that_claims_the_size_of_the_world_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\xff" * 8 + weights_of("x"))
    with pytest.raises(ValueError, match="does not fit"):
        check_header(path, path.stat().st_size)
