"""Several that push at once, and some that are killed: what others see is nothing, or a whole entry."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthhub_cache.errors import BrokenEntryError
from depthhub_cache.store import Entry, Store

from ..children import answer_of, end, first_word_of, needs_fork
from ..samples import memory_folder, publish, weights_of
from .places import LARGE, FolderShelf, Shelf, fetched, objects_of, record_name, remote_at, weights_name

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def worker(*args: object) -> subprocess.Popen[str]:
    """Another Python that runs one command of `workers.py`."""
    command = [sys.executable, str(Path(__file__).with_name("workers.py")), *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_took_the_place_of_an_entry_is_not_pushed_for_it(store: Store, folder: FolderShelf) -> None:
    """Whoever pushes has held the entry against a lockfile, perhaps: other bytes under its name are not that one."""
    entry = publish(store, "vits", turn=1)
    store.remove(entry.key)
    same = publish(store, "vits", turn=2)
    store.remove(entry.key)
    publish(store, "vits", data=weights_of("vitb"))
    for meant in (entry, same):
        with pytest.raises(BrokenEntryError, match="took its place"):
            remote_at(folder.url).push(meant)
    assert folder.names() == []
    store.remove(entry.key)
    publish(store, "vits", turn=3)
    assert remote_at(folder.url).push(entry) == "pushed"


@pytest.mark.parametrize("parts", [1, 5], ids=["begun", "all of it sent, perhaps"])
def test_one_that_is_killed_half_way_is_not_seen_and_the_next_completes(
    parts: int, shelf: Shelf, store: Store, another: Store
) -> None:
    entry = publish(store, "vitl", data=weights_of("vitl", LARGE))
    killed = worker("push_a_part", shelf.url, store.root, entry.key, parts)
    assert first_word_of(killed) == "a part"
    assert fetched(remote_at(shelf.url), entry, another) is None
    end(killed)
    assert fetched(remote_at(shelf.url), entry, another) is None
    assert record_name(entry) not in shelf.names()
    if parts == 1:
        assert weights_name(entry) not in shelf.names()
    assert remote_at(shelf.url).push(entry) == "pushed"
    _assert_whole(shelf, entry)


def test_many_that_push_at_once_leave_one_whole_entry_and_nobody_who_reads_sees_less(
    shelf: Shelf, store: Store, another: Store, tmp_path: Path
) -> None:
    go, stop = tmp_path / "go", tmp_path / "stop"
    one, other = publish(store, "vits"), publish(another, "vits", data=weights_of("another run"))
    roots = [store.root, another.root] * 2
    pushing = [worker("push", shelf.url, root, one.key, go) for root in roots]
    reading = worker("fetch", shelf.url, tmp_path / "reader", one.key, stop)
    assert [first_word_of(process) for process in (*pushing, reading)] == ["ready"] * 5
    go.touch()
    answers = [answer_of(process) for process in pushing]
    remote = remote_at(shelf.url)
    last = fetched(remote, one, Store(tmp_path / "last"))
    stop.touch()
    there, _ = answer_of(reading)
    assert set(answers) <= {"pushed", "was there"}
    assert "pushed" in answers
    assert last is not None
    assert last.record in (one.record, other.record)
    assert [remote.push(one), remote.push(other)] == ["was there", "was there"]
    assert there >= 0
    left = set(shelf.names()) - {record_name(one), weights_name(one), weights_name(other)}
    assert left == set()


@needs_fork
def test_killed_at_any_line_one_leaves_nothing_that_is_seen_or_a_whole_entry(store: Store) -> None:
    seen, entry = [], publish(store, "vits")
    for line in itertools.count(1, 9):
        with tempfile.TemporaryDirectory(dir=memory_folder()) as root:
            shelf = FolderShelf(Path(root) / "remote")
            shelf.folder.mkdir()
            killed = _killed(lambda shelf=shelf: remote_at(shelf.url).push(entry), at_line=line)
            there = fetched(remote_at(shelf.url), entry, Store(Path(root) / "cache"))
            seen.append(there is not None)
            assert remote_at(shelf.url).push(entry) == ("was there" if there else "pushed")
            _assert_whole(shelf, entry)
        if not killed:
            break
    assert seen.count(False) > 10  # killed before
    assert seen.count(True) > 1  # killed after


def _assert_whole(shelf: Shelf, entry: Entry) -> None:
    for name, data in objects_of(entry).items():
        assert shelf.get(name) == data


def _killed(work: Callable[[], Any], *, at_line: int) -> bool:
    """Kill -9 a forked process when it comes to its `at_line`-th line of the remote, in whichever thread."""
    pid = os.fork()
    if not pid:
        lines = itertools.count(1)

        def on_line(frame: Any, event: str, _: Any) -> Any:
            if event == "line" and next(lines) == at_line:
                os.kill(os.getpid(), signal.SIGKILL)
            return on_line

        def on_call(frame: Any, event: str, _: Any) -> Any:
            watched = ("remote", "disk.py", "staging.py")
            return on_line if any(part in frame.f_code.co_filename for part in watched) else None

        try:
            threading.settrace(on_call)
            sys.settrace(on_call)
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
