"""What the cache takes of the disk."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .staging import tree_size


@dataclass(frozen=True, slots=True)
class Area:
    """One part of the cache: how many things are in it, and their bytes."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The parts of the cache. free: bytes left on its file system; None where that is not known.

    entries counts broken ones too; checkpoints are originals that were kept; staging is work under way, and rubbish.
    """

    entries: Area
    refs: Area
    checkpoints: Area
    staging: Area
    free: int | None

    @property
    def bytes(self) -> int:
        """Of all parts together."""
        return self.entries.bytes + self.refs.bytes + self.checkpoints.bytes + self.staging.bytes


def measure(*, root: Path, entries: Path, refs: Path, checkpoints: Path, tmp: Path) -> Usage:
    """Walks through the whole cache; what vanishes meanwhile counts nothing."""
    free = None
    for folder in (root, *root.parents):
        with suppress(OSError):
            free = shutil.disk_usage(folder).free
            break
    return Usage(
        entries=_area(entries, "*/*"),
        refs=_area(refs, "*/*.json"),
        checkpoints=_area(checkpoints, "*/*"),
        staging=_area(tmp, "*"),
        free=free,
    )


def _area(folder: Path, pattern: str) -> Area:
    sizes = [tree_size(path) for path in folder.glob(pattern)]
    return Area(len(sizes), sum(sizes))
