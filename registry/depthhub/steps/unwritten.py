"""Which part of a file was never written: a hole, or a place that was only reserved. Both read as zeros."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from io import FileIO

_FIEMAP = 0xC020660B
"""ioctl_fiemap: the extents of a file, as the file system keeps them (Linux: ext4, xfs, btrfs and others)."""

_HEAD, _EXTENT = struct.Struct("=QQLLLL"), struct.Struct("=QQQ16xL12x")
_SYNC = 1
_LAST, _UNWRITTEN = 0x1, 0x800
_AT_A_TIME = 512


def first_unwritten(file: FileIO, size: int) -> int:
    """Where in the first `size` bytes the first one is that was never written; `size` where the system tells of none.

    A hole it tells at once. What was reserved (fallocate) it calls data as soon as somebody has read it, but for those
    who ask for the extents.
    """
    found = size
    with suppress(OSError, AttributeError):  # where it does not tell
        found = file.seek(0, os.SEEK_HOLE)
    with suppress(OSError, ImportError):
        found = min(found, _first_reserved(file, size))
    return min(found, size)


def _first_reserved(file: FileIO, size: int) -> int:
    import fcntl

    start = 0
    while start < size:
        asked = bytearray(_HEAD.pack(start, size - start, _SYNC, 0, _AT_A_TIME, 0)) + bytes(_EXTENT.size * _AT_A_TIME)
        fcntl.ioctl(file.fileno(), _FIEMAP, asked, True)
        count = _HEAD.unpack_from(asked)[3]
        extents = [_EXTENT.unpack_from(asked, _HEAD.size + _EXTENT.size * number) for number in range(count)]
        for logical, _, length, flags in extents:
            if flags & _UNWRITTEN:
                return max(int(logical), start)
            start = int(logical) + int(length)
            if flags & _LAST:
                return size
        if not count:
            break
    return size
