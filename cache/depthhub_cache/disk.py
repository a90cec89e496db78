"""The only file that changes anything on the disk: whatever the store writes, moves or removes is done by these.

What gets its final name here was complete and on the disk before; `exchange.py` lends this file two kinds of rename.
In a folder that is made for a group (group-writable or setgid) new folders and files are open to the group too, so that
a shared cache stays one whatever the umasks of its users are. Elsewhere the umask alone decides.
Every function raises CacheNotWritableError where the system refuses.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from . import record
from .exchange import exchange, take_free_name
from .owner import Owner
from .refusal import refusals

_PATIENCE = 2.0


def create_file(path: Path) -> FileIO:
    """A new file, open for writing; nobody else had it before."""
    with refusals(path):
        file = path.open("xb", buffering=0)
        _share_with_the_group(path, stat.S_IRGRP)
    return file


def make_file(path: Path) -> None:
    """Make an empty file unless it is there."""
    make_folder(path.parent)
    with refusals(path):
        try:
            path.open("xb").close()
        except FileExistsError:
            return
        _share_with_the_group(path, stat.S_IRGRP | stat.S_IWGRP)  # who locks or marks it has to write


def mark(path: Path) -> None:
    """Make an empty file, or give it the time of now if it is there. A mark is nothing that a crash could spoil."""
    with refusals(path):
        try:
            os.utime(path, follow_symlinks=os.utime not in os.supports_follow_symlinks)
        except FileNotFoundError:
            make_file(path)


def freshen(path: Path) -> None:
    """Give the time of now to what is there; what is not, or is not ours to date, stays as it is."""
    with suppress(OSError):
        os.utime(path)


def make_folder(path: Path) -> None:
    """Make a folder with its parents, each on the disk before anything is put into it."""
    with refusals(path):
        missing = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for folder in reversed(missing):
            if not _make_whole(folder) and not folder.is_dir():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
            sync_folder(folder.parent)


def make_own_folder(path: Path) -> None:
    """Make a folder that must not be there."""
    make_folder(path.parent)
    with refusals(path):
        path.mkdir()
        _share_with_the_group(path, stat.S_IRWXG)


def put(source: Path, target: Path) -> None:
    """Move a finished file to `target`, over what may be there: a reader sees the one or the other."""
    make_folder(target.parent)
    with refusals(target):
        _patiently(lambda: source.replace(target))
        sync_folder(target.parent)


def gather(folder: Path, files: dict[str, Path]) -> None:
    """Make `folder` and move finished files into it (name in it -> where they are now)."""
    with refusals(folder):
        folder.mkdir()
        _share_with_the_group(folder, stat.S_IRWXG)
        for name, path in files.items():
            _patiently(lambda path=path, name=name: path.rename(folder / name))  # type: ignore[misc]
        sync_folder(folder)


def publish_folder(folder: Path, target: Path) -> bool:
    """Give the gathered `folder` its final name in one step; False, and nothing done, where `target` is taken."""
    make_folder(target.parent)
    with refusals(target):
        try:
            _patiently(lambda: folder.rename(target))
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):  # the last: a file is there
                return False
            raise
        sync_folder(target.parent)
    return True


def publish(taken: Path, target: Path) -> bool:
    """Give back its name to what was taken away, folder or file; False, and nothing done, where `target` is taken."""
    with refusals(target):
        folder = _is_folder(taken)
    if folder:
        return publish_folder(taken, target)
    make_folder(target.parent)
    with refusals(target):
        try:
            if take_free_name(taken, target):
                sync_folder(target.parent)
                return True
        except FileExistsError:
            return False
    if os.path.lexists(target):
        return False
    put(taken, target)
    return True


def exchange_folder(folder: Path, target: Path) -> bool:
    """Give the gathered `folder` the name `target`, and what had it, broken, the place of `folder`, in one step.

    So nobody misses what a third process may have put there meanwhile. False, and nothing done, where that cannot be.
    """
    with refusals(target):
        done = exchange(folder, target)
        if done:
            sync_folder(target.parent)
    return done


def take_away(path: Path, to: Path) -> bool:
    """Move a published `path` to the free name `to` in one step; False where it is not there.

    Needs no new file and no space. Those who have it open or mapped keep it. Whether it would come back after a crash
    is nobody's harm: it is whole then, or as broken as it was.
    """
    if not os.path.lexists(path):
        return False
    make_folder(to.parent)
    with refusals(path):
        try:
            _patiently(lambda: path.rename(to))
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.EXDEV or not _is_folder(path):
                raise
            _take_apart(path, to)
        with suppress(OSError):
            sync_folder(to.parent)
            sync_folder(path.parent)
    return True


def delete_tree(path: Path) -> int:
    """Remove a directory (or file) of one's own, as far as the system lets us; bytes freed. What stays is swept."""
    before = tree_size(path)
    with suppress(OSError):  # rmtree does not ignore all that it says it does
        if _is_folder(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    return before - tree_size(path)


def remove_file(path: Path) -> None:
    """Remove a single file that need not be there."""
    with refusals(path):
        if os.path.lexists(path):  # a read-only file system refuses to remove even what is not there
            _patiently(lambda: path.unlink(missing_ok=True))


def remove_empty_folder(path: Path) -> None:
    """Remove a folder if nothing is in it."""
    with suppress(OSError):
        path.rmdir()


def tree_size(path: Path) -> int:
    """Bytes of the files in a directory, or of a file; what vanishes meanwhile, or cannot be told, counts nothing."""
    try:
        if not _is_folder(path):
            return path.lstat().st_size
    except OSError:
        return 0
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  a Path for each file is slow
    return size


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system has a way to ask for it."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may be allowed to write into a folder and not to open it
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def _make_whole(folder: Path) -> bool:
    """Make a folder that appears with its rights: what others make in it meanwhile takes them over. False: it is there.

    Who dies before it has its name leaves an empty folder that tells whose it is.
    """
    fresh = folder.with_name(Owner.current().unique_name()) if _granted(folder.parent) else folder
    try:
        fresh.mkdir()
        if fresh != folder:
            _share_with_the_group(fresh, stat.S_IRWXG)
            if not take_free_name(fresh, folder):
                fresh.rename(folder)  # which replaces an empty one that came meanwhile
    except OSError as error:
        if fresh != folder:
            remove_empty_folder(fresh)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True


def _granted(folder: Path) -> int:
    """What a folder that is made for a group grants it; nothing where it is not, like a home, or everybody's."""
    if os.name == "nt":
        return 0
    mode = folder.stat().st_mode
    if mode & stat.S_ISVTX or not mode & (stat.S_IWGRP | stat.S_ISGID):  # like /tmp, or like a home
        return 0
    return mode & stat.S_IRWXG


def _share_with_the_group(path: Path, bits: int) -> None:
    """Grant the group those of `bits` that the folder above grants it, where that folder is made for a group."""
    granted = _granted(path.parent) & bits
    if not granted:
        return
    mode = path.stat().st_mode
    missing = granted & ~mode
    if missing:
        with suppress(PermissionError):  # a file system without such rights
            path.chmod(stat.S_IMODE(mode) | missing)


def _take_apart(folder: Path, to: Path) -> None:
    """Move a folder that only its files can leave: a union mount keeps the folders of its lower layers in place.

    The record goes last. Where the way back fails too, it still lies in its place, and says what is missing beside it.
    What somebody makes anew there meanwhile stays: nothing goes back to where something lies, or without its record,
    and a record has its name in `to` only beside what it was found with.
    """
    to.mkdir()
    lies, taken, moved = folder / record.FILE_NAME, to / f"{record.FILE_NAME}.taken", list[Path]()
    own = _facts_of(lies)
    try:
        for path in sorted(folder.iterdir()):
            if path != lies:
                path.rename(to / path.name)
                moved.append(path)
        if own is not None:
            lies.rename(taken)
    except OSError:
        for path in moved if _facts_of(lies) == own else ():
            with suppress(OSError):  # each for itself, and none in the place of the error that led here
                take_free_name(to / path.name, path)
        remove_empty_folder(to)
        raise
    with suppress(OSError):
        if _facts_of(taken) == own:
            taken.rename(to / record.FILE_NAME)
        else:
            take_free_name(taken, lies)
        folder.rmdir()


def _facts_of(path: Path) -> tuple[int, int, bytes] | None:
    """What tells one record from another that has its name; None where there is none."""
    try:
        state = path.lstat()
    except OSError:
        return None
    data = b""
    if stat.S_ISREG(state.st_mode) and state.st_size <= record.LIMIT:
        with suppress(OSError):
            data = path.read_bytes()
    return state.st_mode, state.st_mtime_ns, data


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()  # what a link leads to is not ours


def _patiently(move: Callable[[], object]) -> None:
    """On Windows a file that anyone has open, a virus scanner for one, cannot be moved: try for a moment."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            move()
        except PermissionError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
