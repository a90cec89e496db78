"""A broken entry is made again, and nobody who uses or repairs it at the same time is disturbed."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from depthhub_cache import disk
from depthhub_cache.entry import Entry
from depthhub_cache.store import Store

from .children import answer_of, first_word_of, needs_fork, together, worker
from .samples import files_under, key_of, publish, weights_of


def _no_record(entry: Entry) -> None:
    (entry.path / "entry.json").unlink()


def _no_weights(entry: Entry) -> None:
    entry.weights.unlink()


def _half_a_record(entry: Entry) -> None:
    record = entry.path / "entry.json"
    record.write_bytes(record.read_bytes()[:-20])


def _record_of_another(entry: Entry) -> None:
    record = entry.path / "entry.json"
    record.write_text(record.read_text().replace(entry.key, key_of("another")))


def _cut_weights(entry: Entry) -> None:
    entry.weights.write_bytes(entry.weights.read_bytes()[:-1])


def _a_file_in_its_place(entry: Entry) -> None:
    _no_weights(entry)
    _no_record(entry)
    entry.path.rmdir()
    entry.path.write_text("not a folder")


def _folders_in_their_places(entry: Entry) -> None:
    _no_weights(entry)
    entry.weights.mkdir()


def _a_record_that_is_a_folder(entry: Entry) -> None:
    _no_record(entry)
    (entry.path / "entry.json").mkdir()


def _a_record_without_end(entry: Entry) -> None:
    (entry.path / "entry.json").write_bytes(b"[" * (4 << 20))


def _a_deep_record(entry: Entry) -> None:
    (entry.path / "entry.json").write_bytes(b"[" * 500_000)


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the system cannot let two names change places: macOS, Windows, some network file systems."""
    monkeypatch.setattr(disk, "exchange", lambda one, other: False)


def _publish_and_verify(store: Store, name: object) -> None:
    entry = publish(store, name, maker="repair")
    assert entry.record.about["maker"] == "repair"  # not the record of the broken one, with the weights of the new
    store.verify(entry, deep=True)


def test_eight_processes_that_find_a_broken_entry_all_get_a_whole_one(store: Store, tmp_path: Path) -> None:
    publish(store, "vits").weights.write_bytes(b"cut")
    go = tmp_path / "go"
    processes = [worker("publish", store.root, "vits", go) for _ in range(8)]
    assert [first_word_of(process) for process in processes] == ["ready"] * 8
    go.touch()
    makers = [answer_of(process) for process in processes]  # each has verified what it got
    assert set(makers) <= {process.pid for process in processes}
    assert files_under(store.root / "v1" / "tmp") == {}


@pytest.mark.parametrize(
    "damage",
    [
        _no_record,
        _no_weights,
        _half_a_record,
        _record_of_another,
        _cut_weights,
        _a_file_in_its_place,
        _folders_in_their_places,
        _a_record_that_is_a_folder,
        _a_record_without_end,
        _a_deep_record,
    ],
)
def test_a_broken_entry_is_none_and_is_replaced_when_it_is_made_again(
    store: Store, damage: Callable[[Entry], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(publish(store, "vits"))
    assert store.get(key_of("vits")) is None
    assert list(store.entries()) == []
    assert list(store.keys()) == [key_of("vits")]
    entry = publish(store, "vits", maker="second")
    assert entry.record.about["maker"] == "second"
    assert "was broken, and was made again" in caplog.text
    store.verify(entry, deep=True)
    assert files_under(store.root / "v1" / "tmp") == {}


@pytest.mark.usefixtures("no_exchange")
@pytest.mark.parametrize("damage", [_no_record, _cut_weights, _a_file_in_its_place])
def test_a_broken_entry_is_replaced_where_nothing_can_be_exchanged(
    store: Store, damage: Callable[[Entry], None]
) -> None:
    damage(publish(store, "vits"))
    assert publish(store, "vits", maker="second").record.about["maker"] == "second"
    assert files_under(store.root / "v1" / "tmp") == {}


@pytest.mark.usefixtures("no_exchange")
def test_a_whole_entry_that_came_between_look_and_move_is_put_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_record(publish(store, "vits"))

    take_away = disk.take_away

    def after_another_was_faster(path: Path, to: Path) -> bool:
        monkeypatch.undo()
        store.remove(key_of("vits"))
        publish(store, "vits", maker="another")
        return take_away(path, to)

    monkeypatch.setattr(disk, "take_away", after_another_was_faster)
    assert publish(store, "vits", maker="this").record.about["maker"] == "another"
    assert files_under(store.root / "v1" / "tmp") == {}


@needs_fork
@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged only there")
def test_no_one_who_repairs_an_entry_ever_misses_what_another_repaired(store: Store) -> None:
    """Eight at once, many times over: moving the broken one aside instead fails in some of every hundred."""
    for turn in range(20):
        publish(store, turn).weights.write_bytes(b"cut")
        repair = partial(_publish_and_verify, store, turn)
        assert together(*[repair] * 8) == [0] * 8
    assert files_under(store.root / "v1" / "tmp") == {}


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be moved there")
def test_what_is_mapped_stays_as_it_is_when_its_entry_is_replaced_or_removed(store: Store) -> None:
    entry = publish(store, "vits")
    with entry.weights.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        (entry.path / "entry.json").write_bytes(b"")
        second = publish(store, "vits")
        assert second.weights.stat().st_ino != os.fstat(file.fileno()).st_ino
        assert bytes(mapped) == weights_of("vits")
        assert store.remove(entry.key) > len(weights_of("vits"))
        assert bytes(mapped) == weights_of("vits")
    assert store.get(entry.key) is None
