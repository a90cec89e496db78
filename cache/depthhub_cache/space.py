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


def no_space(path: Path, *, needed: int, free: int, held: int, reclaimable: int) -> NoSpaceError:
    """The error that says how much room is missing at `path`, and what a collection could free.

    held: bytes of all that can be collected at some time; reclaimable: now.
    """
    missing = needed - free
    if missing <= reclaimable:
        may_stay = max(0, held - missing) // 10**6
        advice = f"`depthhub cache gc --max-size {may_stay}MB` would free enough of {reclaimable:,}; do that, or name"
    else:
        advice = f"A collection would free {f'only {reclaimable:,}' if reclaimable else 'nothing'}; make room, or name"
    advice += " another folder"
    return NoSpaceError(
        f"Cannot write to {path}: {needed:,} bytes are needed and {free:,} are free, so "
        f"{missing:,} are missing. {advice} with DEPTHHUB_CACHE or cache_dir.",
        path=path,
        free=free,
        needed=needed,
        reclaimable=reclaimable,
    )
