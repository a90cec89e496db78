"""From the system's refusal of a write to one clear error."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import CacheError, CacheNotWritableError

_ELSEWHERE = "name another folder (of the cache: with DEPTHHUB_CACHE or cache_dir)"


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Inside it, an OSError of the system becomes the CacheNotWritableError of a write at `path`."""
    try:
        yield
    except CacheError:
        raise
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> CacheNotWritableError:
    from .space import free_bytes

    free = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = free_bytes(path)
        why = "no space is left" if error.errno == errno.ENOSPC else "the disk quota is used up"
        why += f" ({free:,} bytes free)" if free is not None else ""
        advice = f"Make room, or {_ELSEWHERE}."
    elif error.errno == errno.EROFS:
        why, advice = "the file system is read-only", f"To write, {_ELSEWHERE}."
    elif error.errno in (errno.EACCES, errno.EPERM):
        why = f"permission denied{_who()}"
        advice = f"Make it writable for yourself, close the programs that have it open, or {_ELSEWHERE}."
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        why = f"{_in_the_way(path)} is in the way and is not a folder"
        advice = f"Remove it, or {_ELSEWHERE}."
    elif error.errno == errno.EFBIG:
        why = "the file would be larger than this process or file system allows"
        advice = f"Raise the limit, or {_ELSEWHERE}."
    elif error.errno == errno.ENOENT:
        why, advice = "it was removed while it was in use", "Try again."
    else:
        why, advice = (error.strerror or type(error).__name__), f"Mend that, or {_ELSEWHERE}."
    return CacheNotWritableError(f"Cannot write to {path}: {why}. {advice}", path=path, free=free)


def _in_the_way(path: Path) -> Path:
    """The part of `path` nearest to the root that is not a folder."""
    for part in (*reversed(path.parents), path):
        with suppress(OSError):  # what cannot be looked at is not what was told of
            if os.path.lexists(part) and not part.is_dir():
                return part
    return path


def _who() -> str:
    return f" for the user with uid {os.geteuid()}" if hasattr(os, "geteuid") else ""
