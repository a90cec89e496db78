"""What lies on the disk under our names may be somebody else's: a link that leads out, a pipe, a folder that is hidden.

Whatever lists a folder of the store or reads a small file of it does it with these.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def children(folder: Path) -> list[Path]:
    """What lies in a folder, in order; nothing where it is not there, hidden from us, or a link to some other place."""
    try:
        return listed(folder)
    except OSError:
        return []


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, in order; nothing where it is not there. Raises OSError where that cannot be told."""
    if not is_there(folder):
        return []
    if not is_folder(folder):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return sorted(folder.iterdir())


def is_there(path: Path) -> bool:
    """Whether something has the name `path`, be it a broken link. Raises OSError where that cannot be told."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def may_be_there(path: Path) -> bool:
    """Whether something has the name `path`: what its folder hides may be there. Not so where that is hidden too."""
    try:
        return is_there(path)
    except OSError:
        return is_folder(path.parent)


def hides(folder: Path) -> bool:
    """Whether a folder is there that does not let us see what is in it."""
    try:
        (folder / "anything").lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return is_folder(folder)
    return False


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder itself: what a link leads to is not ours."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def may_be_a_file(path: Path) -> bool:
    """Whether `path` is a regular file, or a link to one; what cannot be told may be one."""
    try:
        return path.is_file()
    except OSError:
        return True


def open_file(path: Path) -> BinaryIO:
    """A regular file, open for reading. Raises ValueError for anything else, before it can wait for it."""
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  it is handed on
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is not a file")
    return file


def read_file(path: Path, limit: int) -> bytes:
    """The content of a small regular file, one byte more than `limit` at most. Raises ValueError for anything else."""
    with open_file(path) as file:
        return file.read(limit + 1)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
