"""An entry is whole or absent, whoever publishes it and whoever is faster."""

from __future__ import annotations

import logging
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest

from depthhub_cache import disk
from depthhub_cache.store import Store

from .children import answer_of, first_word_of, in_a_child, needs_fork, worker
from .samples import files_under, hash_of, key_of, publish, weights_of


def test_what_was_published_is_found(store: Store) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    entry = publish(store, "vits", source="vits", sizes=(1, 2))
    assert entry.weights.read_bytes() == weights_of("vits")
    assert entry.record.weights_sha256 == hash_of(weights_of("vits"))
    assert entry.record.weights_size == len(weights_of("vits"))
    assert entry.record.about == {"name": "vits", "source": "vits", "sizes": [1, 2]}
    assert before <= datetime.fromisoformat(entry.record.created_at) <= datetime.now(timezone.utc)
    assert Store(store.root).get(key_of("vits")) == entry
    assert list(store.entries()) == [entry]
    assert store.get(key_of("vitb")) is None


def test_an_entry_lies_where_the_design_says_and_holds_nothing_else(store: Store) -> None:
    with store.stage() as staging:
        with staging.file("original.pth") as staged:
            staged.write(b"not wanted in the entry")
        with staging.file("weights.safetensors") as staged:
            staged.write(weights_of("vits"))
        entry = store.publish(key_of("vits"), staging, about={})
    key = key_of("vits")
    assert entry.path == store.root / "v1" / "entries" / key[:2] / key
    assert sorted(files_under(entry.path)) == ["entry.json", "weights.safetensors"]
    assert files_under(store.root / "v1" / "tmp") == {}


def test_nothing_stays_of_work_that_failed(store: Store) -> None:
    def interrupted() -> None:
        with store.stage() as staging, staging.file("weights.safetensors") as staged:
            staged.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list((store.root / "v1" / "tmp").iterdir()) == []


def test_a_file_that_was_not_finished_is_not_published(store: Store) -> None:
    with store.stage() as staging:
        with suppress(ZeroDivisionError), staging.file("weights.safetensors") as staged:
            staged.write(b"half")
            raise ZeroDivisionError
        with pytest.raises(ValueError, match="not written to its end"):
            store.publish(key_of("vits"), staging, about={})
    assert store.get(key_of("vits")) is None


def test_facts_that_are_not_plain_json_are_refused_before_anything_is_published(store: Store) -> None:
    for about in ({"path": Path("x")}, {"number": float("nan")}, {"text": "x" * (2 << 20)}):
        with pytest.raises((TypeError, ValueError)):
            publish(store, "vits", **about)
    assert files_under(store.root / "v1") == {}


def test_who_comes_second_adopts_the_entry_that_is_there(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first = publish(store, "vits", maker=1)
    with caplog.at_level(logging.WARNING):
        assert publish(store, "vits", maker=2) == first
    assert caplog.text == ""
    assert publish(store, "vits", data=weights_of("other")) == first
    assert "different bytes" in caplog.text
    store.verify(first, deep=True)


def test_who_published_does_not_take_what_took_its_place_for_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_folder = disk.publish_folder

    def and_another_takes_its_place(gathered: Path, folder: Path) -> bool:
        monkeypatch.undo()
        published = publish_folder(gathered, folder)
        store.remove(key_of("vits"))
        publish(store, "vits", data=weights_of("other"), maker="another")
        return published

    monkeypatch.setattr(disk, "publish_folder", and_another_takes_its_place)
    mine, there = publish(store, "vits", maker="me"), store.get(key_of("vits"))
    assert there is not None
    assert (mine.record.about["maker"], there.record.about["maker"]) == ("me", "another")
    assert mine.identity != there.identity


def test_eight_processes_that_publish_at_once_without_a_lock_all_get_one_entry(store: Store, tmp_path: Path) -> None:
    go = tmp_path / "go"
    processes = [worker("publish", store.root, "vits", go) for _ in range(8)]
    assert [first_word_of(process) for process in processes] == ["ready"] * 8
    go.touch()
    makers = [answer_of(process) for process in processes]
    assert len(set(makers)) == 1
    assert makers[0] in [process.pid for process in processes]
    assert len(list(store.entries())) == 1
    assert files_under(store.root / "v1" / "tmp") == {}


def test_a_reader_never_sees_a_half_published_entry(store: Store, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    churning = worker("churn", store.root, "vits", stop)
    looking = worker("look", store.root, "vits", stop)
    time.sleep(1.5)
    stop.touch()
    rounds, (there, missing, half) = answer_of(churning), answer_of(looking)
    assert half == 0
    assert min(rounds, there, missing) > 10  # it was looked for while it came and went


def test_removing_says_how_many_bytes_it_freed(store: Store) -> None:
    entry = publish(store, "vits")
    expected = sum(files_under(entry.path).values())
    assert store.remove(entry.key) == expected
    assert store.remove(entry.key) == 0
    assert files_under(store.root / "v1") == {}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of another kind")
@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o002, 0o664, 0o775), (0o077, 0o600, 0o700)])
def test_everything_gets_the_permissions_that_the_umask_says(
    store: Store, umask: Callable[[int], int], mask: int, file_mode: int, folder_mode: int
) -> None:
    umask(mask)
    publish(store, "vits")
    store.remember("ref", {})
    with store.lock(key_of("vits")) as held:
        assert held
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in store.root.rglob("*")}
    assert len(modes) > 10
    for path, mode in modes.items():
        assert mode == (folder_mode if path.is_dir() else file_mode), path


@needs_fork
def test_a_forked_child_that_ends_leaves_its_parents_staging_alone(store: Store) -> None:
    def unwind() -> None:
        with store.stage():
            pass
        staging.__exit__(None, None, None)

    with store.stage() as staging:
        in_a_child(unwind)
        assert staging.path.is_dir()
