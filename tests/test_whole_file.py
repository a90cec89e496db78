"""A file of the user's own: whole or absent, never in the place of another one, and no rubbish beside it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub.errors import CacheNotWritableError
from depthhub.whole_file import whole_file
from depthhub_cache.owner import Owner

from .cache.children import in_a_child, needs_fork

A_WEEK = 7 * 86_400


def refuse_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["links", "no links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One where a file can have two names, and one where it cannot."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse_links)


def part_of(folder: Path, owner: Owner) -> Path:
    """What a process `owner` leaves when it is killed."""
    path = folder / f".depthhub-{owner.unique_name()}.part"
    path.write_bytes(b"half")
    return path


def ended_here() -> Owner:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return Owner.current()._replace(pid=done.pid, started=1)


@pytest.mark.usefixtures("file_system")
@pytest.mark.parametrize("replace", [False, True])
def test_it_is_there_when_it_is_whole(tmp_path: Path, replace: bool) -> None:
    out = tmp_path / "new" / "out.bin"
    with whole_file(out, replace=replace) as file:
        file.write(b"half")
        assert not out.exists()
        file.write(b" and half")
    assert out.read_bytes() == b"half and half"
    assert out.stat().st_nlink == 1
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.usefixtures("file_system")
@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_appears_meanwhile_stays(tmp_path: Path, make: Callable[[Path], None]) -> None:
    out = tmp_path / "out.bin"

    def write() -> None:
        with whole_file(out, replace=False) as file:
            file.write(b"ours")
            make(out)

    with pytest.raises(FileExistsError):
        write()
    assert out.is_symlink() or out.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_there_is_not_even_worked_for(tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    out.write_bytes(b"mine")
    with pytest.raises(FileExistsError), whole_file(out, replace=False):
        pytest.fail("hours of work, for nothing")
    with whole_file(out, replace=True) as file:
        file.write(b"ours")
    assert out.read_bytes() == b"ours"


@pytest.mark.usefixtures("file_system")
@pytest.mark.parametrize("replace", [False, True])
def test_what_fails_leaves_nothing(tmp_path: Path, replace: bool) -> None:
    def write() -> None:
        with whole_file(tmp_path / "out.bin", replace=replace) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_was_taken_for_a_file_that_cannot_come_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", refuse_links)
    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(CacheNotWritableError), whole_file(tmp_path / "out.bin", replace=False):
        pass
    assert list(tmp_path.iterdir()) == []


@needs_fork
def test_a_folder_that_may_not_be_written_is_a_typed_error(open_folder: Path) -> None:
    def write() -> None:
        with whole_file(open_folder / "out.bin", replace=False):
            pass

    with pytest.raises(CacheNotWritableError, match="permission denied"):
        in_a_child(write, as_nobody=True)


# what killed processes left


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_what_a_killed_process_left_goes_with_the_next_file(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from depthhub.whole_file import whole_file\n"
        "with whole_file(Path(sys.argv[1]), replace=False) as file:\n"
        "    file.write(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    out = tmp_path / "out.bin"
    assert subprocess.run([sys.executable, "-c", code, str(out)], check=False).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with whole_file(tmp_path / "another.bin", replace=False) as file:
        file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["another.bin"]


def test_only_what_is_surely_left_goes(tmp_path: Path) -> None:
    elsewhere = Owner("elsewhere.00000000", 1, 1)
    alive, gone = part_of(tmp_path, Owner.current()), part_of(tmp_path, ended_here())
    fresh, old = part_of(tmp_path, elsewhere), part_of(tmp_path, elsewhere)
    long_ago = time.time() - A_WEEK - 60
    os.utime(old, (long_ago, long_ago))
    own = [tmp_path / ".depthhub-notes.part", tmp_path / f"{ended_here().unique_name()}.part", tmp_path / "x.part"]
    for path in own:
        path.write_bytes(b"mine")
        os.utime(path, (long_ago, long_ago))
    with whole_file(tmp_path / "out.bin", replace=False):
        pass
    assert not gone.exists()
    assert not old.exists()
    assert {*tmp_path.iterdir()} == {alive, fresh, *own, tmp_path / "out.bin"}
