"""Killed at any instant, a process leaves entries whole or absent, and rubbish that is recognised as rubbish."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from depthhub_cache import disk
from depthhub_cache.exchange import exchange
from depthhub_cache.store import Store

from .children import in_a_child, killed_in_a_child, needs_fork
from .samples import key_of, publish


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
    tmp = store.root / "v1" / "tmp"
    for delay in (0.0, 0.02, 0.05):
        before = disk.tree_size(tmp)
        pid = os.fork()
        if not pid:
            try:
                with store.stage() as staging, staging.file("weights.safetensors") as staged:
                    for _ in range(2000):
                        staged.write(block)
                    store.publish(key_of("large"), staging, about={})
            finally:
                os._exit(0)
        while disk.tree_size(tmp) <= before + len(block):
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert store.get(key_of("large")) is None
        assert list(store.keys()) == []
    assert store.sweep() > len(block)


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

        def watched_exchange(one: Path, other: Path) -> bool:
            events.append(("rename", str(other)))
            return exchange(one, other)

        os.fsync = fsync
        disk.exchange = watched_exchange
        publish(store, "vits")
        store.remember("vits", {})
        (publish(store, "vitb").path / "entry.json").unlink()
        publish(store, "vitb")
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
        refused = events[index + 1 : index + 2] == [(kind, path)]  # a broken entry was there; then it was exchanged
        if kind in ("rename", "mkdir") and not staging and not refused:
            assert events[index + 1] == ("sync", str(Path(path).parent)), path
