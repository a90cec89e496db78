"""Rubbish is recognised as rubbish, and only when its owner is surely gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from depthhub_cache import owner, processes
from depthhub_cache.collection import Budget
from depthhub_cache.owner import Owner
from depthhub_cache.store import Store

from .children import end, first_word_of, in_a_child, needs_fork, worker
from .samples import files_under, publish


def _left_by(store: Store, owner: str, *, days: float = 0.0) -> Path:
    folder = store.root / "v1" / "tmp" / owner
    folder.mkdir(parents=True)
    (folder / "part").write_bytes(b"half")
    for path in (folder / "part", folder):
        os.utime(path, (time.time() - days * 86400,) * 2)
    return folder


def test_what_a_killed_process_left_is_found_and_swept(store: Store) -> None:
    process = worker("stage", store.root, "part")
    path = Path(first_word_of(process))
    assert path.parent.parent == store.root / "v1" / "tmp"
    assert list(store.abandoned("part")) == []  # it is at work
    assert store.sweep() == 0
    end(process)
    assert list(store.abandoned("part")) == [path]
    assert list(store.abandoned("another")) == []
    assert path.read_bytes() == b"the first half"
    assert store.sweep() == len(b"the first half")
    assert list((store.root / "v1" / "tmp").iterdir()) == []


@needs_fork
def test_what_a_killed_process_left_is_rubbish_before_anyone_waited_for_it(store: Store) -> None:
    process = worker("stage", store.root, "part")
    path = Path(first_word_of(process))
    os.kill(process.pid, 9)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
    if sys.platform == "linux":
        assert list(store.abandoned("part")) == [path]
    end(process)


def test_ones_own_work_is_never_swept(store: Store) -> None:
    with store.stage() as staging:
        with staging.file("part") as staged:
            staged.write(b"half")
        assert store.sweep() == 0
        assert list(store.abandoned("part")) == []
        assert staged.path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="start times are known there")
def test_a_later_process_with_the_same_pid_is_another_one(store: Store) -> None:
    mine = Owner.current()
    _left_by(store, f"{Owner(mine.host, mine.pid, mine.started + 1)}-aaaaaaaa")
    alive = _left_by(store, f"{mine}-bbbbbbbb")
    assert store.sweep() == len(b"half")
    assert list((store.root / "v1" / "tmp").iterdir()) == [alive]


@pytest.mark.parametrize("name", ["not_our_name", "host-1-x-y", "-1-1-1", "host-1-77-longer", "report.doc"])
def test_what_no_process_of_ours_has_named_is_never_removed(store: Store, name: str) -> None:
    folder = _left_by(store, name, days=1000)
    assert store.sweep() == 0
    assert (folder / "part").exists()


@pytest.mark.parametrize("days", [7.1, -7.1, -30_000])
def test_what_a_clock_gone_wrong_dates_is_as_old_as_what_is_old(store: Store, days: float) -> None:
    _left_by(store, "elsewhere-1-77-aaaaaaaa", days=days)
    assert store.sweep() == len(b"half")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("area", ["tmp", "leases", "quarantine", "checkpoints", "entries", "refs", "locks"])
def test_an_area_that_is_a_link_to_somewhere_else_is_left_alone(store: Store, tmp_path: Path, area: str) -> None:
    publish(store, "vits")
    (tmp_path / "outside").mkdir()
    mine = Owner.current()
    gone, key = Owner(mine.host, 2**22 + 1, 5), "ab" * 32
    for name in (f"{gone}-aaaaaaaa", f"{key}.{gone}-aaaaaaaa", f"{key}-aaaaaaaa", f"{key}.holder", key, "report.doc"):
        (tmp_path / "outside" / name).write_bytes(b"precious")
        os.utime(tmp_path / "outside" / name, (0, 0))
    (tmp_path / "outside" / "ab" / key).mkdir(parents=True)
    (tmp_path / "outside" / "ab" / key / "best.pth").write_bytes(b"precious")
    before = files_under(tmp_path)
    shutil.rmtree(store.root / "v1" / area, ignore_errors=True)
    (store.root / "v1" / area).symlink_to(tmp_path / "outside")
    store.sweep()
    store.collect(Budget(max_size=0, max_age=0))
    list(store.broken_refs()), list(store.kept_checkpoints()), store.usage()
    assert files_under(tmp_path) == before


def test_what_is_not_of_this_host_goes_by_its_age_alone(store: Store) -> None:
    folder = _left_by(store, "elsewhere.0a1b2c3d-1-77-aaaaaaaa", days=6.9)
    assert store.sweep() == 0
    assert list(store.abandoned("part")) == []
    for path in (folder / "part", folder):
        os.utime(path, (time.time() - 7.1 * 86400,) * 2)
    assert list(store.abandoned("part")) == [folder / "part"]
    assert store.sweep() == len(b"half")


def test_a_file_that_still_grows_keeps_its_old_directory(store: Store) -> None:
    folder = _left_by(store, "elsewhere-1-77-aaaaaaaa", days=30)
    os.utime(folder / "part")
    assert store.sweep() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_in_the_staging_area_is_removed_and_not_followed(store: Store, tmp_path: Path) -> None:
    publish(store, "vits")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"x" * 100)
    mine = Owner.current()
    link = store.root / "v1" / "tmp" / f"{Owner(mine.host, 2**22 + 1, 5)}-aaaaaaaa"
    link.symlink_to(tmp_path / "precious")
    assert store.sweep() < 100 + len(str(tmp_path))
    assert not link.is_symlink()
    assert files_under(tmp_path) == {"precious/file": 100}


def test_an_owner_reads_back_what_it_wrote() -> None:
    mine = Owner.current()
    assert Owner.parse(str(mine)) == mine
    assert mine.pid == os.getpid()
    assert mine.is_local()
    assert not mine.is_gone()
    for text in ("", "host", "host-1", "host-x-1", "ho/st-1-1", f"{mine}\n", "h" * 41 + "-1-1", "host-1-" + "9" * 21):
        assert Owner.parse(text) is None


@pytest.mark.skipif(sys.platform == "win32", reason="pids of another kind")
def test_a_pid_that_nobody_can_have_is_gone() -> None:
    mine = Owner.current()
    assert Owner(mine.host, 2**22 + 1, 5).is_gone()
    assert Owner(mine.host, 10**19, 5).is_gone()
    assert Owner(mine.host, 0, 5).is_gone()
    assert not Owner("elsewhere", 10**19, 5).is_gone()
    assert not Owner(mine.host, os.getppid(), 0).is_gone()  # alive; since when is not known


@needs_fork
def test_a_forked_child_is_not_its_parent() -> None:
    assert in_a_child(Owner.current) != Owner.current()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the name of the host is all there is")
@pytest.mark.parametrize("there", [(), ("sys/kernel/random/boot_id",), ("self/ns/pid",)])
def test_where_nothing_tells_one_host_from_another_nobody_judges_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...]
) -> None:
    """As in sandboxes without /proc, or with half of it: they may share their names, and not their pids."""
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    code = """
import sys
from pathlib import Path
from depthhub_cache import owner
owner._PROC = Path(sys.argv[1])
print(owner.Owner.current())
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True, check=True)
    monkeypatch.setattr(owner, "_PROC", tmp_path)
    theirs = Owner.parse(done.stdout.strip())
    assert theirs is not None
    assert not theirs.is_local()
    assert not theirs.is_gone()  # here it is, and who runs elsewhere looks the same
    left = _left_by(store, f"{theirs}-aaaaaaaa")
    assert store.sweep() == 0
    for path in (left / "part", left):
        os.utime(path, (time.time() - 7.1 * 86400,) * 2)
    assert store.sweep() == len(b"half")

    mine = Owner.current()
    assert mine.is_local()
    assert not mine.is_gone()
    assert in_a_child(Owner.current).is_gone()  # whom it has forked it knows


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /proc")
def test_what_is_told_of_the_pids_of_another_namespace_is_not_told_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a sandbox that has its own pids, and the /proc of what is around it."""
    mine = tmp_path / str(os.getpid())
    mine.mkdir()
    (mine / "stat").write_text(f"{os.getpid()} (python) Z {' '.join(map(str, range(1, 50)))}")
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    (tmp_path / "self").symlink_to(str(os.getpid()))
    assert processes.start_of(os.getpid()) == 19
    assert not processes.is_running(os.getpid())
    (tmp_path / "self").unlink()
    (tmp_path / "self").symlink_to("1")
    assert processes.start_of(os.getpid()) is None
    assert processes.is_running(os.getpid())


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a process of another user")
def test_a_process_of_another_user_is_not_gone() -> None:
    mine = Owner.current()
    assert in_a_child(mine.is_gone, as_nobody=True) is False
