"""Who has an entry open: `leases/<key>.<owner>-<random>`, an empty file that a process leaves there when it loads.

A lease asks the collection for patience and nothing more: it is written if it can be, and no load fails without one.
Its name tells the process, so it ends with the process, however that ends.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import disk
from .errors import CacheError
from .identity import Key
from .owner import Owner

log = logging.getLogger("depthhub_cache")

_OLD = 7 * 24 * 3600.0
"""Seconds after which the lease of a process on another host, or before the last boot, counts no more."""


class Lease:
    """This process has an entry open. Ends with `release`, or with the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pid = os.getpid()

    def release(self) -> None:
        """The entry is not open any more. Whatever goes wrong here, the end of the process does the same."""
        path, self._path = self._path, None
        if path is not None and self._pid == os.getpid():  # a forked child must not end its parent's
            with suppress(OSError):
                disk.remove_file(path)


def take(leases: Path, key: Key) -> Lease:
    """A lease of the entry `key`; a lease of nothing where it cannot be written."""
    path = leases / f"{key}.{Owner.current()}-{secrets.token_hex(4)}"
    try:
        disk.make_file(path)
    except CacheError as error:
        log.debug("no lease: %s", error)
        return Lease(None)
    return Lease(path)


def holders(leases: Path, key: Key) -> Iterator[Owner]:
    """The processes that have an entry open, as far as one can know; those elsewhere are believed for a week."""
    for path in _all(leases):
        of, owner = _parse(path)
        if of == key and owner is not None and not _has_ended(path, owner):
            yield owner


def sweep(leases: Path) -> None:
    """Remove the leases of processes that have ended."""
    for path in _all(leases):
        _, owner = _parse(path)
        if owner is None or _has_ended(path, owner):
            with suppress(OSError):
                disk.remove_file(path)


def _parse(path: Path) -> tuple[str, Owner | None]:
    key, _, text = path.name.partition(".")
    return key, Owner.parse(text.rpartition("-")[0])


def _has_ended(path: Path, owner: Owner) -> bool:
    if owner.is_local():
        return owner.is_gone()
    try:
        return time.time() - path.lstat().st_mtime > _OLD
    except OSError:
        return True


def _all(leases: Path) -> list[Path]:
    try:
        return sorted(leases.iterdir())
    except OSError:
        return []
