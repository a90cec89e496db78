"""Staging directories whose owner is surely gone: recognised as rubbish, never guessed to be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .owner import Owner

_OLD = 7 * 24 * 3600.0
"""Seconds without a change after which what another host left is rubbish; clocks may differ by much less."""


def abandoned_directories(tmp: Path) -> Iterator[Path]:
    """Those of processes that have ended here; those of other hosts or boots, never by pid, only by age."""
    for path in _children(tmp):
        owner = Owner.parse(path.name.rpartition("-")[0])
        gone = owner.is_gone() if owner is not None and owner.is_local() else _is_old(path)
        if gone:
            yield path


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_old(path: Path) -> bool:
    newest = 0.0
    for place in (path, *_children(path)):
        with suppress(OSError):
            newest = max(newest, place.lstat().st_mtime)
    return time.time() - newest > _OLD
