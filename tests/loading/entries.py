"""The entry of a checkpoint, and what else lies in the cache that tests load it from."""

from __future__ import annotations

from pathlib import Path

from depthhub import prewarm
from depthhub_cache.entry import Entry
from depthhub_cache.quarantine import all_set_aside
from depthhub_cache.store import Store


def prewarmed(tiny: Path, **options: object) -> Path:
    """The converted file of `tiny`."""
    [done] = prewarm([tiny], family="v2", **options)  # type: ignore[arg-type]
    return done.path


def set_aside(cache: Path) -> list[Path]:
    return list(all_set_aside(cache / "v1" / "quarantine"))


def entry_in(root: Path) -> Entry:
    [entry] = Store(root).entries()
    return entry
