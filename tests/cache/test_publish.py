"""An entry is whole or absent: whoever publishes, whoever is faster, whenever one is killed."""

from __future__ import annotations

import logging
import mmap
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest

from depthhub_cache import staging as staging_module
from depthhub_cache import store as store_module
from depthhub_cache.entry import Entry
from depthhub_cache.staging import take_away
from depthhub_cache.store import Store

from .children import answer_of, first_word_of, in_a_child, killed_in_a_child, needs_fork, together, worker
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


def test_eight_processes_that_find_a_broken_entry_all_get_a_whole_one(store: Store, tmp_path: Path) -> None:
    publish(store, "vits").weights.write_bytes(b"cut")
    go = tmp_path / "go"
    processes = [worker("publish", store.root, "vits", go) for _ in range(8)]
    assert [first_word_of(process) for process in processes] == ["ready"] * 8
    go.touch()
    makers = [answer_of(process) for process in processes]  # each has verified what it got
    assert set(makers) <= {process.pid for process in processes}
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


@needs_fork
def test_killed_at_any_line_a_process_leaves_an_entry_whole_or_absent(store: Store) -> None:
    publish(store, "another")
    whole = absent = 0
    for line in range(1, 2000, 2):
        if not killed_in_a_child(lambda line=line: publish(store, line), at_line=line):
            break
        assert not (store.root / "v1" / "entries" / key_of(line)[:2] / key_of(line)).exists() or store.get(key_of(line))
        entry = store.get(key_of(line))
        if entry is None:
            absent += 1
        else:
            store.verify(entry, deep=True)
            whole += 1
    assert absent > 50  # killed before
    assert whole > 5  # killed after
    assert store.sweep() > 0
    assert list((store.root / "v1" / "tmp").iterdir()) == []
    for line in range(1, 20):
        store.verify(publish(store, line), deep=True)


@needs_fork
def test_killed_at_any_line_while_it_replaces_a_broken_entry(store: Store) -> None:
    outcomes = set()
    for line in range(1, 2000, 6):
        name = f"broken {line}"
        (publish(store, name).path / "entry.json").write_bytes(b"{")
        killed = killed_in_a_child(lambda name=name: publish(store, name, maker="child"), at_line=line)
        entry = store.get(key_of(name))
        outcomes.add(entry is not None)
        store.verify(entry or publish(store, name), deep=True)
        if not killed:
            break
    assert outcomes == {True, False}
    store.sweep()
    assert list((store.root / "v1" / "tmp").iterdir()) == []


@needs_fork
def test_killed_at_any_line_while_it_removes_an_entry(store: Store) -> None:
    outcomes = set()
    for line in range(1, 500, 2):
        key = publish(store, line).key
        killed = killed_in_a_child(lambda key=key: store.remove(key), at_line=line)
        entry = store.get(key)
        outcomes.add(entry is not None)
        if entry is not None:
            store.verify(entry, deep=True)
        assert entry is not None or not (store.root / "v1" / "entries" / key[:2] / key).exists()
        if not killed:
            break
    assert outcomes == {True, False}
    store.sweep()
    assert list((store.root / "v1" / "tmp").iterdir()) == []


@needs_fork
def test_killed_in_the_middle_of_a_large_write_a_process_leaves_no_entry(store: Store) -> None:
    block = os.urandom(1 << 20)
    for delay in (0.005, 0.02, 0.05):
        pid = os.fork()
        if not pid:
            try:
                with store.stage() as staging, staging.file("weights.safetensors") as staged:
                    for _ in range(2000):
                        staged.write(block)
                    store.publish(key_of("large"), staging, about={})
            finally:
                os._exit(0)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert store.get(key_of("large")) is None
        assert list(store.keys()) == []
    assert store.sweep() > len(block)


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
    assert "the broken entry" in caplog.text
    store.verify(entry, deep=True)
    assert files_under(store.root / "v1" / "tmp") == {}


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the system cannot let two names change places: macOS, Windows, some network file systems."""
    monkeypatch.setattr(staging_module, "exchange", lambda one, other: False)


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

    def after_another_was_faster(path: Path, tmp: Path) -> Path | None:
        monkeypatch.undo()
        store.remove(key_of("vits"))
        publish(store, "vits", maker="another")
        return take_away(path, tmp)

    monkeypatch.setattr(store_module, "take_away", after_another_was_faster)
    assert publish(store, "vits", maker="this").record.about["maker"] == "another"
    assert files_under(store.root / "v1" / "tmp") == {}


@needs_fork
@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged only there")
def test_no_one_who_repairs_an_entry_ever_misses_what_another_repaired(store: Store) -> None:
    """Eight at once, many times over: moving the broken one aside instead fails in some of every hundred."""
    for turn in range(40):
        publish(store, turn).weights.write_bytes(b"cut")
        statuses = together(8, lambda turn=turn: store.verify(publish(store, turn), deep=True))
        assert statuses == [0] * 8
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


@needs_fork
@pytest.mark.skipif(sys.platform != "linux", reason="the path of an open file is known there")
def test_everything_is_on_the_disk_before_it_gets_its_name_and_its_name_is_after(store: Store) -> None:
    """What a sync does cannot be seen without cutting the power: so the order of the calls is looked at."""

    def watched() -> list[tuple[str, str]]:
        events = []
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            events.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
            sync(descriptor)

        def hook(event: str, args: tuple[object, ...]) -> None:
            if event in ("os.rename", "os.mkdir"):
                events.append((event[3:], str(args[event == "os.rename"])))

        sys.addaudithook(hook)
        os.fsync = fsync
        publish(store, "vits")
        store.remember("vits", {})
        return events

    events = in_a_child(watched)
    entry = store.get(key_of("vits"))
    assert entry is not None
    (entered,) = (index for index, event in enumerate(events) if event == ("rename", str(entry.path)))
    synced = [Path(path).name for kind, path in events[:entered] if kind == "sync"]
    assert {"weights.safetensors", "entry.json", "entry"} <= set(synced)
    assert synced[-1] == entry.path.parent.parent.name or synced[-1] == "entry"
    for index, (kind, path) in enumerate(events):
        staging = "v1/tmp/" in path
        if kind in ("rename", "mkdir") and not staging:
            assert events[index + 1] == ("sync", str(Path(path).parent)), path
