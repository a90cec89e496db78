"""The fast path: a hit opens a few files, and does nothing else."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import pytest

from depthhub_cache.errors import CacheError, CacheNotWritableError
from depthhub_cache.identity import Key
from depthhub_cache.record import Record
from depthhub_cache.store import Store

from .children import answer_of, in_a_child, needs_fork, worker
from .samples import files_under, key_of, publish


def test_reading_takes_no_lock_writes_nothing_and_lists_no_folder(store: Store) -> None:
    entry = publish(store, "vits")
    store.remember("vits", {"answer": 42})
    before = files_under(store.root)
    seen = answer_of(worker("read", store.root, "vits"))
    assert files_under(store.root) == before
    opened = []
    for event, *args in seen["events"]:
        assert event == "open", (event, args)
        path, _, flags = args
        assert not int(flags) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        opened.append(path)
    assert any(str(entry.path / "entry.json") in path for path in opened)
    assert len(set(opened)) == 4  # a record, the header of its weights, a ref; and a ref that is not there


def test_reading_imports_no_lock_no_torch_and_no_hub(store: Store) -> None:
    publish(store, "vits")
    store.remember("vits", {})
    modules = {name.partition(".")[0] for name in answer_of(worker("read", store.root, "vits"))["modules"]}
    assert "depthhub_cache" in modules
    assert modules.isdisjoint({"filelock", "torch", "huggingface_hub", "safetensors", "numpy", "depthhub"})


def test_reading_takes_well_below_a_millisecond(store: Store) -> None:
    publish(store, "vits")
    store.remember("vits", {"answer": 42})

    def seconds_of(read: object, what: str) -> float:
        began = time.perf_counter()
        assert read(what)
        return time.perf_counter() - began

    assert statistics.median(seconds_of(store.get, key_of("vits")) for _ in range(200)) < 0.5e-3
    assert statistics.median(seconds_of(store.recall, "vits") for _ in range(200)) < 0.5e-3


def test_a_store_that_nobody_wrote_to_is_empty_and_stays_absent(tmp_path: Path) -> None:
    store = Store(tmp_path / "no" / "such")
    assert store.get(key_of("vits")) is None
    assert store.recall("vits") is None
    assert list(store.entries()) == list(store.refs()) == list(store.kept_checkpoints()) == []
    assert list(store.abandoned("x")) == []
    assert store.sweep() == store.remove(key_of("vits")) == store.usage().bytes == 0
    store.forget("vits")
    assert not (tmp_path / "no").exists()


def test_a_root_that_is_a_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    store = Store(tmp_path / "cache")
    assert store.get(key_of("vits")) is None
    assert store.recall("vits") is None
    assert list(store.entries()) == list(store.refs()) == []


@pytest.mark.parametrize("text", ["", "vits", "../" * 21 + "x", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"])
def test_a_key_that_is_none_never_becomes_a_path(store: Store, text: str) -> None:
    key = Key(text)
    for use in (store.get, store.remove, store.lock, store.kept, lambda key: store.verify(key, deep=False)):
        with pytest.raises(ValueError, match="not a sha256"):
            use(key)


def test_a_record_and_weights_of_two_entries_are_never_taken_for_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, "vits", maker="first").weights.write_bytes(b"cut")
    parse = Record.parse

    def parse_while_another_repairs(data: bytes) -> Record:
        monkeypatch.undo()
        publish(store, "vits", maker="second")
        return parse(data)

    monkeypatch.setattr(Record, "parse", parse_while_another_repairs)
    entry = store.get(key_of("vits"))
    assert entry is not None
    assert entry.record.about["maker"] == "second"


@needs_fork
@pytest.mark.skipif(sys.platform == "win32", reason="permissions of another kind")
def test_an_entry_that_one_may_not_read_is_reported(open_folder: Path) -> None:
    store = Store(open_folder / "cache")
    entry = publish(store, "vits")
    (entry.path / "entry.json").chmod(0o000)
    with pytest.raises(CacheError, match="cannot be read: Permission denied") as caught:
        in_a_child(lambda: store.get(entry.key) and None, as_nobody=True)
    assert caught.value.path == entry.path
    assert not isinstance(caught.value, CacheNotWritableError)
