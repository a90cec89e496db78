"""How much room there is, and whether it is enough for what is to be written."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from .errors import NoSpaceError


def free_bytes(path: Path) -> int | None:
    """Bytes that this user may still write where `path` is, or will be; None where that is not known."""
    for folder in (path, *path.parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def no_space(path: Path, *, needed: int, free: int, reclaimable: int) -> NoSpaceError:
    """The error that says how much room is missing at `path`, and what a collection could free."""
    if reclaimable:
        advice = f"`depthhub cache gc --max-size 0` would free {reclaimable:,}; make room, or name another folder"
    else:
        advice = "A collection would free nothing; make room, or name another folder"
    return NoSpaceError(
        f"Cannot write to the cache at {path}: {needed:,} bytes are needed and {free:,} are free, so "
        f"{needed - free:,} are missing. {advice} with DEPTHHUB_CACHE or cache_dir.",
        path=path,
        free=free,
        needed=needed,
        reclaimable=reclaimable,
    )
