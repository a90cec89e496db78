"""Who has an entry open: `leases/<key>.<owner>-<random>`, an empty file that a process leaves there when it loads.

A lease asks the collection for patience and nothing more: it is written if it can be, and no load fails without one.
Its name tells the process, so it ends with the process, however that ends.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import disk
from .errors import CacheError
from .identity import Key, is_sha256
from .owner import Owner
from .reading import children, listed

log = logging.getLogger("depthhub_cache")


class Lease:
    """This process has an entry open. Ends with `release`, or with the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pid = os.getpid()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @contextmanager
    def unless_failed(self) -> Iterator[None]:
        """Release it where the context ends with an error."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """The entry is not open any more. Whatever goes wrong here, the end of the process does the same."""
        path, self._path = self._path, None
        if path is not None and self._pid == os.getpid():  # a forked child must not end its parent's
            with suppress(OSError):
                disk.remove_file(path)


def take(leases: Path, key: Key) -> Lease:
    """A lease of the entry `key`; a lease of nothing where it cannot be written."""
    if not is_sha256(key):
        raise ValueError(f"{key!r} is not a sha256: 64 lower-case hex digits")
    path = leases / f"{key}.{Owner.current().unique_name()}"
    try:
        disk.make_file(path)
    except CacheError as error:
        log.debug("no lease: %s", error)
        return Lease(None)
    return Lease(path)


def holders(leases: Path, key: Key) -> Iterator[Owner]:
    """The processes that have an entry open. Those elsewhere, or from before the last boot, are believed for a week.

    Raises OSError where the leases cannot be listed: then nobody can tell.
    """
    for path, of, owner in _among(listed(leases)):
        if of == key and not _has_ended(path, owner):
            yield owner


def sweep(leases: Path) -> None:
    """Remove the leases of processes that have ended."""
    for path, _, owner in _among(children(leases)):
        if _has_ended(path, owner):
            with suppress(OSError):
                disk.remove_file(path)


def _among(paths: list[Path]) -> Iterator[tuple[Path, str, Owner]]:
    """Every lease, the name of its entry, and its process; what has another name is none."""
    for path in paths:
        of, _, text = path.name.partition(".")
        owner = Owner.of_name(text)
        if is_sha256(of) and owner is not None:
            yield path, of, owner


def _has_ended(path: Path, owner: Owner) -> bool:
    if owner.is_local():
        return owner.is_gone()
    from .abandoned import is_long_ago

    try:
        return is_long_ago(path.lstat().st_mtime)
    except FileNotFoundError:
        return True
    except OSError:
        return False
