"""Directories whose owner is surely gone: recognised as rubbish by their names, never guessed to be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .owner import Owner
from .reading import children

_OLD = 7 * 24 * 3600.0
"""Seconds without a change after which what another host left is rubbish; clocks may differ by much less."""


def abandoned_directories(tmp: Path) -> Iterator[Path]:
    """Staging directories of processes that have ended here; those of other hosts or boots, never by pid, only by age.

    What has a name that no process of ours gives is somebody's, whatever its age.
    """
    return (path for path in children(tmp) if is_abandoned(path, Owner.of_name(path.name)))


def is_abandoned(path: Path, owner: Owner | None) -> bool:
    """Whether what lies there belongs to `owner`, and to nobody who may be alive."""
    if owner is None:
        return False
    return owner.is_gone() if owner.is_local() else _is_old(path)


def nameless_folders(root: Path) -> Iterator[Path]:
    """Those that were to be an area or a shelf of a shared cache, and whose maker ended before they had its name."""
    below = (root / "v1" / area for area in ("entries", "refs", "checkpoints"))
    for place in (root, root / "v1", *below):
        yield from abandoned_directories(place)


def is_long_ago(moment: float) -> bool:
    """Whether a time (seconds, Unix) is a week ago, or as far ahead, which only a clock gone wrong tells."""
    return abs(time.time() - moment) > _OLD


def _is_old(path: Path) -> bool:
    moments = []
    for place in (path, *children(path)):
        with suppress(OSError):
            moments.append(place.lstat().st_mtime)
    return all(map(is_long_ago, moments))
