"""One lock per key, so that work is done once. It saves work and carries no correctness.

On some file systems a lock excludes nobody, and a process that hangs holds it for ever: so waiting is bounded, says for
whom, and ends without the lock where it must. What two processes then both make, they publish safely.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from . import disk
from .errors import CacheNotWritableError
from .json_object import parse_object
from .owner import Owner, host_name
from .reading import children, read_file
from .staging import Staging

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from .filesystem import LockKind

log = logging.getLogger("depthhub_cache")

_MARKER = ".soft"

TELL_AFTER = 2.0
"""Seconds of waiting before one is told for whom."""


@contextmanager
def hold(
    path: Path, kind: LockKind, *, tmp: Path, timeout: float, on_wait: Callable[[str], None] | None = None
) -> Iterator[bool]:
    """Hold the lock file `path`; whether it is held, for after `timeout` seconds, or without locks, it is not.

    kind: `flock`, the system's own; `soft`, a marker beside it that is there or not, where the system's own excludes
    nobody; or `none`.
    """
    holder = path.with_suffix(".holder")
    lock = None if kind == "none" else _acquire(path, kind, holder, timeout, on_wait or _silent)
    try:
        if lock is not None:
            _announce(holder, tmp)
        yield lock is not None
    finally:
        if lock is not None:
            with suppress(OSError):  # what was made under the lock stands all the same
                disk.remove_file(holder)
            with suppress(OSError):
                lock.release()


def sweep(folder: Path) -> None:
    """Remove the words that processes left who are gone. Lock files stay: to remove one would split the lock in two."""
    for holder in children(folder):
        said = _said_in(holder) if holder.suffix == ".holder" else None
        if said is not None and said[0].is_gone():
            with suppress(OSError):
                disk.remove_file(holder.with_suffix(_MARKER))
                disk.remove_file(holder)


def _acquire(
    path: Path, kind: LockKind, holder: Path, timeout: float, on_wait: Callable[[str], None]
) -> BaseFileLock | None:
    from filelock import Timeout  # a hit in the cache needs no lock, and does not pay for the import

    deadline = time.monotonic() + timeout
    told = None
    while True:
        left = deadline - time.monotonic()
        try:
            lock = _lock(path, kind)
            lock.acquire(timeout=min(TELL_AFTER, max(left, 0)))
        except Timeout:
            whom = _whom(holder)
        except (OSError, NotImplementedError) as error:
            log.log(logging.WARNING if timeout else logging.DEBUG, "lock %s: going on without it (%s)", path, error)
            return None
        else:
            return lock
        if not timeout:
            return None
        if left <= TELL_AFTER:
            log.warning("lock %s: waited %.0f s for %s", path, timeout, whom)
            on_wait(f"waited {timeout:.0f} s for {whom}; going on without the lock")
            return None
        if whom != told:
            on_wait(f"waiting for {whom}")
            told = whom


def _lock(path: Path, kind: LockKind) -> BaseFileLock:
    from filelock import FileLock, SoftFileLock

    if path.is_symlink() or path.parent.is_symlink():  # some versions of filelock empty what a link leads to
        raise OSError(errno.ELOOP, "it is a link", str(path))
    disk.make_file(path)
    if kind == "soft":
        return SoftFileLock(str(path.with_suffix(_MARKER)))
    # Given the mode that the file has, no version of filelock has another to force on it; some refuse one that does not
    # let its owner read and write.
    return FileLock(str(path), mode=stat.S_IMODE(path.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def _announce(holder: Path, tmp: Path) -> None:
    """Leave word for those who wait. Beside the lock: on Windows nobody reads what is locked."""
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    facts = {"owner": str(Owner.current()), "host": host_name(), "since": since}
    with suppress(CacheNotWritableError), Staging(tmp) as staging:
        staging.add(holder.name, json.dumps(facts).encode("ascii"))
        staging.place(holder.name, holder)


def _whom(holder: Path) -> str:
    """Who holds the lock, in words; the word of a process that is gone is not believed."""
    said = _said_in(holder)
    if said is None or said[0].is_gone():
        return "another process, which has not said who it is"
    owner, host, since = said
    return f"process {owner.pid} on {host}, at work since {since:%Y-%m-%d %H:%M:%S} UTC"


def _said_in(holder: Path) -> tuple[Owner, str, datetime] | None:
    try:
        facts = parse_object(read_file(holder, 4096), limit=4096)
        owner = Owner.parse(str(facts["owner"]))
        host, since = re.sub(r"[^\w.-]", "_", str(facts["host"]))[:64], datetime.fromisoformat(str(facts["since"]))
    except (OSError, ValueError, KeyError):
        return None
    return None if owner is None else (owner, host, since)


def _silent(_: str) -> None:
    pass
