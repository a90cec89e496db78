"""What the cache takes of the disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .abandoned import abandoned_directories
from .disk import tree_size
from .reading import children
from .refs import ref_files
from .space import free_bytes
from .tier import Tier


@dataclass(frozen=True, slots=True)
class Area:
    """One part of the cache: how many things are in it, and their bytes."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The parts of the cache. free: bytes left on its file system; None where that is not known.

    entries counts broken ones too, and pinned says how many of them are; checkpoints are originals that were kept;
    staging is work under way, rubbish what processes left that are surely gone; quarantine is what failed verification,
    and what a process has in hand to look at it once more.
    """

    entries: Area
    pinned: int
    refs: Area
    checkpoints: Area
    quarantine: Area
    staging: Area
    rubbish: Area
    free: int | None

    @property
    def bytes(self) -> int:
        """Of all parts together."""
        areas = (self.entries, self.refs, self.checkpoints, self.quarantine, self.staging, self.rubbish)
        return sum(area.bytes for area in areas)


def measure(tier: Tier) -> Usage:
    """Walks through the whole cache; what vanishes meanwhile, or is hidden from us, counts nothing."""
    tmp = tier.folder("tmp")
    rubbish = set(abandoned_directories(tmp))
    return Usage(
        entries=_area(map(tier.entry_folder, tier.keys())),
        pinned=len(children(tier.folder("pins"))),
        refs=_area(ref_files(tier.folder("refs"))),
        checkpoints=_area(_on_shelves(tier.folder("checkpoints"))),
        quarantine=_area(children(tier.folder("quarantine"))),
        staging=_area(path for path in children(tmp) if path not in rubbish),
        rubbish=_area(rubbish),
        free=free_bytes(tier.root),
    )


def _on_shelves(folder: Path) -> list[Path]:
    return [path for shelf in children(folder) for path in children(shelf)]


def _area(paths: Iterable[Path]) -> Area:
    sizes = [tree_size(path) for path in paths]
    return Area(len(sizes), sum(sizes))
