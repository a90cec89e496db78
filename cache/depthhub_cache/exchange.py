"""Two names change places in one step, where the system can do that; part of `staging.py`'s one way into the store."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EXDEV)  # file systems and sandboxes differ


def exchange(one: Path, other: Path) -> bool:
    """What was at `one` is at `other` and the other way round; no one sees either name without its thing (rename(2)).

    False, and nothing done, where the system cannot, or `other` is not there. Raises OSError where it refuses.
    """
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # an old or a small C library
        return False
    rename.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT or (number == errno.ENOENT and not os.path.lexists(other)):
        return False
    raise OSError(number, os.strerror(number), str(other))
