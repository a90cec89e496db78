"""How much of a file is in the page cache; bringing it there, and taking it out."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

_CHUNK = 4 << 20


def resident(path: Path) -> float | None:
    """The share of the pages of `path` that are in memory, 0 to 1; None where the system does not tell."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        state = (ctypes.c_ubyte * pages)()
        start = ctypes.c_char.from_buffer(mapped)
        try:
            failed = ctypes.CDLL(None).mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), state)
        except (AttributeError, OSError, TypeError):
            return None
        finally:
            del start  # else the map could not be closed
    return None if failed else sum(page & 1 for page in state) / pages


def warm(path: Path) -> None:
    """Bring the whole of it into the page cache, if it is not there."""
    if resident(path) == 1:
        return
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(_CHUNK)
        while file.readinto(buffer):
            pass


def drop(path: Path) -> None:
    """Take it out of the page cache, as far as the system does that."""
    if not hasattr(os, "posix_fadvise"):
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())  # what is not on the disk stays
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
