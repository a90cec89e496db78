"""Leases: what a living process has open stays, and only as long as that process lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from depthhub_cache import disk
from depthhub_cache.collection import Budget
from depthhub_cache.errors import CacheError
from depthhub_cache.leases import Lease, holders
from depthhub_cache.owner import Owner
from depthhub_cache.store import Store

from .children import in_a_child, needs_fork, together
from .conftest import Mount
from .samples import files_under, key_of, publish, weights_of

KEY = key_of("vits")
NOTHING_STAYS = Budget(max_size=0)
DAY = 86_400.0
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="start times are known there")


def lease_files(store: Store) -> list[Path]:
    return sorted(path for path in (store.root / "v1" / "leases").glob("*") if path.is_file())


def owners(store: Store) -> list[int]:
    return [owner.pid for owner in holders(store.root / "v1" / "leases", KEY)]


def is_spared(store: Store) -> bool:
    """Whether a collection that has room for nothing spares the entry; it is asked, not done."""
    collected = store.collect(NOTHING_STAYS, dry_run=True)
    return [decision.item.name for decision in collected.spared] == [KEY]


def left_by(store: Store, owner: Owner, *, days: float = 0.0) -> Path:
    """A lease as another process would have left it, so many days ago."""
    path = store.root / "v1" / "leases" / f"{KEY}.{owner}-0a1b2c3d"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


@contextmanager
def a_process_that_has_it_open(store: Store) -> Iterator[subprocess.Popen[str]]:
    code = """
import sys
from pathlib import Path
from depthhub_cache.store import Store
store = Store(Path(sys.argv[1]))
lease = store.lease(store.get(sys.argv[2]))
print("open", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(store.root), KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_what_a_living_process_has_open_is_spared_and_the_report_names_the_process(store: Store) -> None:
    entry = publish(store, "vits")
    with a_process_that_has_it_open(store) as process:
        collected = store.collect(NOTHING_STAYS)
        assert collected.freed == ()
        [spared] = collected.spared
        assert spared.why.startswith(f"in use by process {process.pid} on ")
        assert owners(store) == [process.pid]
        store.verify(entry, deep=True)


def test_a_lease_ends_when_it_is_released_and_no_earlier(store: Store) -> None:
    entry = publish(store, "vits")
    first, second = store.lease(entry), store.lease(entry)
    assert owners(store) == [os.getpid()] * 2
    first.release()
    first.release()  # a second time ends nobody else's
    assert is_spared(store)
    second.release()
    assert lease_files(store) == []
    assert [decision.item.name for decision in store.collect(NOTHING_STAYS).freed] == [KEY]
    assert store.get(KEY) is None


def test_a_lease_says_nothing_of_other_entries(store: Store) -> None:
    lease = store.lease(publish(store, "vits"))
    publish(store, "vitb")
    collected = store.collect(NOTHING_STAYS)
    assert [decision.item.name for decision in collected.freed] == [key_of("vitb")]
    assert [decision.item.name for decision in collected.spared] == [KEY]
    lease.release()


@needs_fork
@pytest.mark.parametrize("ending", ["returns", "is killed", "calls _exit"])
def test_a_lease_ends_with_its_process_however_that_ends(store: Store, ending: str) -> None:
    publish(store, "vits")
    with a_process_that_has_it_open(store) as process:
        assert is_spared(store)
        if ending == "is killed":
            os.kill(process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie: nobody has waited for it
            assert not is_spared(store) or sys.platform != "linux"
        if ending == "returns":
            process.communicate("")
    if ending == "calls _exit":
        in_a_child(lambda: store.lease(_found(store)) and None)
        assert len(lease_files(store)) == 2
    assert not is_spared(store)
    store.sweep()
    assert lease_files(store) == []


def _found(store: Store):  # type: ignore[no-untyped-def]
    entry = store.get(KEY)
    assert entry is not None
    return entry


@needs_fork
def test_a_forked_child_does_not_end_the_lease_of_its_parent(store: Store) -> None:
    lease = store.lease(publish(store, "vits"))
    in_a_child(lease.release)
    assert is_spared(store)
    assert in_a_child(lambda: is_spared(store)) is True
    in_a_child(store.sweep)
    assert owners(store) == [os.getpid()]
    lease.release()
    assert not is_spared(store)


@on_linux
def test_a_later_process_with_the_same_pid_holds_nothing(store: Store) -> None:
    publish(store, "vits")
    mine = Owner.current()
    path = left_by(store, Owner(mine.host, mine.pid, mine.started + 1))
    assert not is_spared(store)
    store.sweep()
    assert not path.exists()


@on_linux
def test_a_process_that_nobody_can_be_holds_nothing_however_young_its_lease(store: Store) -> None:
    publish(store, "vits")
    left_by(store, Owner(Owner.current().host, 2**22 + 1, 5))
    assert not is_spared(store)


def test_the_lease_of_another_host_counts_for_a_week(store: Store) -> None:
    """Or of another container, or of this machine before it was started again: nobody here can ask for the process."""
    publish(store, "vits")
    path = left_by(store, Owner("elsewhere.0a1b2c3d", 1, 77), days=6.9)
    [spared] = store.collect(NOTHING_STAYS).spared
    assert spared.why == "in use by process 1 on elsewhere.0a1b2c3d"
    left_by(store, Owner("elsewhere.0a1b2c3d", 1, 77), days=7.1)
    assert not is_spared(store)
    store.sweep()
    assert not path.exists()


def test_a_sweep_takes_the_dead_and_leaves_the_living(store: Store) -> None:
    lease = store.lease(publish(store, "vits"))
    [mine] = lease_files(store)
    mine_now = Owner.current()
    left_by(store, Owner(mine_now.host, 2**22 + 1, 5))
    there = store.root / "v1" / "leases" / f"{KEY}.{Owner('elsewhere', 1, 1)}-ffffffff"
    there.touch()
    strangers = [store.root / "v1" / "leases" / name for name in ("rubbish", f"{KEY}.", KEY)]  # and no leases
    for path in strangers:
        path.touch()
    store.sweep()
    assert lease_files(store) == sorted([mine, there, *strangers])
    assert sorted(owners(store)) == sorted([os.getpid(), 1])
    lease.release()


def test_a_lease_is_an_empty_file(store: Store) -> None:
    lease = store.lease(publish(store, "vits"))
    assert [path.stat().st_size for path in lease_files(store)] == [0]
    lease.release()


def test_a_read_only_cache_gives_a_lease_of_nothing(mount: Mount) -> None:
    root = mount("size=4m")
    entry = publish(Store(root), "vits")
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    store = Store(root)
    before = files_under(root)
    lease = store.lease(entry)
    assert files_under(root) == before
    lease.release()


@needs_fork
def test_a_cache_of_another_user_gives_a_lease_of_nothing(open_folder: Path) -> None:
    store = Store(open_folder / "cache")
    entry = publish(store, "vits")

    def use() -> None:
        store.lease(entry).release()

    in_a_child(use, as_nobody=True)
    assert lease_files(store) == []


@pytest.mark.parametrize("place", ["leases", "used"])
def test_something_in_the_way_is_no_obstacle_to_a_load(store: Store, place: str) -> None:
    entry = publish(store, "vits")
    (store.root / "v1" / place).write_text("in the way")
    store.lease(entry).release()
    collected = store.collect(NOTHING_STAYS)
    if place == "leases":  # whoever had it open left word in there, and nobody can read it
        assert "perhaps in use" in collected.spared[0].why
    else:
        assert collected.freed != ()


def test_an_entry_of_a_tier_below_is_not_leased(tmp_path: Path) -> None:
    publish(Store(tmp_path / "below"), "vits")
    store = Store(tmp_path / "above", below=[tmp_path / "below"])
    before = files_under(tmp_path)
    lease = store.lease(_found(store))
    assert files_under(tmp_path) == before
    lease.release()


def test_a_lease_says_when_it_was_used_last(store: Store) -> None:
    entry = publish(store, "vits")
    store.lease(entry).release()
    used = store.root / "v1" / "used" / KEY
    os.utime(used, (0, 0))
    store.lease(entry).release()
    assert abs(used.stat().st_mtime - time.time()) < 60
    assert used.stat().st_size == 0


def test_to_release_a_lease_never_fails(store: Store) -> None:
    lease = store.lease(publish(store, "vits"))
    [path] = lease_files(store)
    path.unlink()
    path.mkdir()
    (path / "x").touch()
    lease.release()
    Lease(None).release()


def load(store: Store) -> bytes:
    """As the library loads: look, take the lease, open; what went in between is made again."""
    for _ in range(1000):
        entry = store.get(KEY) or publish(store, "vits")
        lease = store.lease(entry)
        try:
            return entry.weights.read_bytes()
        except FileNotFoundError:
            continue
        finally:
            lease.release()
    raise AssertionError("never there")


@needs_fork
def test_nobody_reads_anything_wrong_while_others_collect_all_there_is(store: Store) -> None:
    """A collection may come between a reader's look and its lease; whoever has opened the file keeps all of it."""
    end = time.monotonic() + 1.0

    def loads() -> None:
        rounds = 0
        while time.monotonic() < end:
            assert load(store) == weights_of("vits")
            rounds += 1
        assert rounds > 10

    def collects() -> None:
        freed = 0
        while time.monotonic() < end:
            freed += len(store.collect(NOTHING_STAYS).freed)
        assert freed > 0

    assert together(loads, loads, loads, collects, collects) == [0] * 5
    store.sweep()
    assert files_under(store.root / "v1" / "tmp") == {}
    assert lease_files(store) == []
    assert list((store.root / "v1").glob("quarantine/*")) == []


@needs_fork
def test_who_has_a_lease_never_misses_the_entry(store: Store) -> None:
    entry = publish(store, "vits")
    lease = store.lease(entry)
    end = time.monotonic() + 0.5

    def collects() -> None:
        while time.monotonic() < end:
            assert [decision.item.name for decision in store.collect(NOTHING_STAYS).spared] == [KEY]

    def looks() -> None:
        while time.monotonic() < end:
            assert store.get(KEY) == entry

    assert together(looks, collects, collects) == [0] * 3
    lease.release()


def test_an_entry_that_is_leased_while_it_is_being_removed_goes_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the collection's last question and its removal there is an instant; here somebody comes in it."""
    entry = publish(store, "vits")
    take_away = disk.take_away
    leases = []

    def while_another_opens_it(path: Path, to: Path) -> bool:
        leases.append(store.lease(entry))
        return take_away(path, to)

    monkeypatch.setattr(disk, "take_away", while_another_opens_it)
    collected = store.collect(NOTHING_STAYS)
    assert collected.freed == ()
    assert [decision.item.name for decision in collected.spared] == [KEY]
    store.verify(entry, deep=True)
    assert files_under(store.root / "v1" / "tmp") == {}
    leases[0].release()


@pytest.mark.parametrize("held", ["pinned", "in use by process"])
def test_what_is_held_is_removed_by_force_alone(store: Store, held: str) -> None:
    entry = publish(store, "vits")
    lease = _held(store, held)
    with pytest.raises(CacheError, match=f"is {held}"):
        store.remove(KEY, force=False)
    store.verify(entry, deep=True)
    lease.release()
    store.unpin(KEY)
    assert store.remove(KEY, force=False) > len(weights_of("vits"))
    assert store.remove(KEY, force=False) == 0
    publish(store, "vits")
    _held(store, held)
    assert store.remove(KEY) > len(weights_of("vits"))


@pytest.mark.parametrize("held", ["pinned", "in use by process"])
def test_an_entry_that_is_held_while_it_is_being_removed_goes_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    entry = publish(store, "vits")
    take_away = disk.take_away

    def while_another_comes(path: Path, to: Path) -> bool:
        _held(store, held)
        return take_away(path, to)

    monkeypatch.setattr(disk, "take_away", while_another_comes)
    with pytest.raises(CacheError, match=f"is {held}"):
        store.remove(KEY, force=False)
    store.verify(entry, deep=True)
    assert files_under(store.root / "v1" / "tmp") == {}


def _held(store: Store, held: str) -> Lease:
    if held != "pinned":
        return store.lease(KEY)
    store.pin(KEY)
    return Lease(None)
