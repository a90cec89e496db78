"""A file of the user's own that appears under its name when it is whole, and takes no other file's name by accident."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from depthhub_cache import disk
from depthhub_cache.abandoned import is_long_ago
from depthhub_cache.owner import Owner
from depthhub_cache.refusal import refusals
from depthhub_cache.staging import StagedFile

_PREFIX, _SUFFIX = ".depthhub-", ".part"


@contextmanager
def whole_file(out: Path, *, replace: bool, sweep: bool = True) -> Iterator[StagedFile]:
    """A file to write, beside `out`, that is given its name in one step where the context ends well.

    sweep: first remove what killed processes, surely gone ones, have left there; it lists the folder. Raises
    FileExistsError where `out` is there and is not to be replaced, also where it appeared meanwhile, and
    CacheNotWritableError where the system refuses.
    """
    if not replace and os.path.lexists(out):
        raise _is_there(out)
    disk.make_folder(out.parent)
    if sweep:
        sweep_folder(out.parent)
    staged, pid = StagedFile(out.parent / f"{_PREFIX}{Owner.current().unique_name()}{_SUFFIX}"), os.getpid()
    try:
        yield staged
        staged.finish()
        if replace:
            disk.put(staged.path, out)
        elif not _put_where_nothing_is(staged.path, out):
            raise _is_there(out)
    finally:
        with suppress(OSError):
            staged.close()
        if os.getpid() == pid:  # a forked child that unwinds here must not remove its parent's work
            disk.delete_tree(staged.path)


def sweep_folder(folder: Path) -> None:
    """Remove what killed processes, surely gone ones, have left there of their files."""
    with suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            owner = Owner.of_name(path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX))
            if owner is not None and (owner.is_gone() if owner.is_local() else is_long_ago(path.lstat().st_mtime)):
                disk.delete_tree(path)


def _put_where_nothing_is(path: Path, out: Path) -> bool:
    """A second name, unlike a rename, is refused where something has it; False then."""
    with refusals(out):
        try:
            os.link(path, out)
        except FileExistsError:
            return False
        except OSError:  # no second names on this file system (FAT, some of other machines)
            if not _take_the_name(path, out):
                return False
        disk.sync_folder(out.parent)
    return True


def _take_the_name(path: Path, out: Path) -> bool:
    """An empty file takes the name, if nothing has it, and keeps it for the finished one."""
    try:
        out.open("xb").close()
    except FileExistsError:
        return False
    try:
        path.replace(out)
    except OSError:
        out.unlink()
        raise
    return True


def _is_there(out: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "it is there already", str(out))
