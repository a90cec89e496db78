"""Entries that failed a verification in this process: never given again, be they set aside or not."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from .entry import Entry, Identity, identity_of
from .errors import CacheError
from .tier import Tier

log = logging.getLogger("depthhub_cache")


class Distrusted:
    """What a store distrusts. An entry is known by its place and its identity: another one in its place is not it."""

    def __init__(self, own: Tier) -> None:
        self._own = own
        self._known: set[tuple[Path, Identity | None]] = set()

    def __contains__(self, entry: Entry) -> bool:
        return (entry.path, entry.identity) in self._known

    def add(self, entry: Entry, reason: str) -> None:
        """Distrust it from now on, and set it aside in the quarantine, where it is in the own tier and that can be."""
        self._known.add((entry.path, entry.identity))
        if entry.path != self._own.entry_folder(entry.key):
            log.warning("%s is not used: %s", entry.path, reason)
            return
        from .quarantine import set_aside

        try:
            if identity_of(entry.path) == entry.identity:  # nobody is to miss another one that is there by now
                set_aside(entry.path, reason, own=self._own, still=lambda path: identity_of(path) == entry.identity)
        except CacheError as error:
            log.warning("%s is not used: %s (it cannot be set aside: %s)", entry.path, reason, error)

    def forgive(self, folder: Path, identity: Identity | None) -> None:
        """It was just published there: by a coarse clock, what was distrusted there may have had the same identity."""
        self._known.discard((folder, identity))

    def is_known(self, folder: Path, at: Path) -> bool:
        """Whether what lies in `folder`, and had its place at `at`, is distrusted; what cannot be told apart is not."""
        with suppress(CacheError):
            return (at, identity_of(folder)) in self._known
        return False
