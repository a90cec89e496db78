"""Two kinds of rename that Python lacks, each one step where the system has it; they serve `disk.py` alone."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EXDEV)  # file systems and sandboxes differ


def exchange(one: Path, other: Path) -> bool:
    """What was at `one` is at `other` and the other way round; no one sees either name without its thing (rename(2)).

    False, and nothing done, where the system cannot, or `other` is not there. Raises OSError where it refuses.
    """
    number = _renameat2(one, other, _RENAME_EXCHANGE)
    if number in _CANNOT or (number == errno.ENOENT and not os.path.lexists(other)):
        return False
    _raise(number, other)
    return True


def take_free_name(path: Path, name: Path) -> bool:
    """What was at `path` is at `name`, where nothing was, not even an empty folder.

    False, and nothing done, where the system cannot. Raises OSError where it refuses; FileExistsError if it is taken.
    """
    number = _renameat2(path, name, _RENAME_NOREPLACE)
    if number in _CANNOT:
        return False
    _raise(number, name)
    return True


def _renameat2(path: Path, name: Path, flags: int) -> int:
    """0, or what the system says; ENOSYS where it has no such call."""
    if sys.platform != "linux":
        return errno.ENOSYS
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # an old or a small C library
        return errno.ENOSYS
    rename.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    done = rename(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(name), flags) == 0
    return 0 if done else ctypes.get_errno()


def _raise(number: int, path: Path) -> None:
    if number:
        raise OSError(number, os.strerror(number), str(path))
