"""One lock per key, so that work is done once. It saves work and carries no correctness.

On some file systems a lock excludes nobody, and a process that hangs holds it for ever: so waiting is bounded, says for
whom, and ends without the lock where it must. What two processes then both make, they publish safely.
"""

from __future__ import annotations

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

from .errors import CacheNotWritableError
from .json_object import parse_object
from .owner import Owner, host_name
from .staging import Staging, make_file, remove_file

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger("depthhub_cache")

TELL_AFTER = 2.0
"""Seconds of waiting before one is told for whom."""


@contextmanager
def hold(path: Path, *, tmp: Path, timeout: float, on_wait: Callable[[str], None] | None = None) -> Iterator[bool]:
    """Hold the lock file `path`; whether it is held, for after `timeout` seconds, or without locks, it is not."""
    holder = path.with_suffix(".holder")
    lock = _acquire(path, holder, timeout, on_wait or _silent)
    try:
        if lock is not None:
            _announce(holder, tmp)
        yield lock is not None
    finally:
        if lock is not None:
            with suppress(OSError):  # what was made under the lock stands all the same
                remove_file(holder)
            with suppress(OSError):
                lock.release()


def _acquire(path: Path, holder: Path, timeout: float, on_wait: Callable[[str], None]) -> BaseFileLock | None:
    from filelock import FileLock, Timeout  # a hit in the cache needs no lock, and does not pay for the import

    deadline = time.monotonic() + timeout
    told = None
    while True:
        left = deadline - time.monotonic()
        try:
            make_file(path)
            # Given the mode that the file has, no version of filelock has another to force on it.
            lock = FileLock(str(path), mode=stat.S_IMODE(path.stat().st_mode))
            lock.acquire(timeout=min(TELL_AFTER, max(left, 0)))
        except Timeout:
            whom = _whom(holder)
        except (OSError, NotImplementedError) as error:
            log.warning("lock %s: going on without it (%s)", path, error)
            return None
        else:
            return lock
        if left <= TELL_AFTER:
            log.warning("lock %s: waited %.0f s for %s", path, timeout, whom)
            on_wait(f"waited {timeout:.0f} s for {whom}; going on without the lock")
            return None
        if whom != told:
            on_wait(f"waiting for {whom}")
            told = whom


def _announce(holder: Path, tmp: Path) -> None:
    """Leave word for those who wait. Beside the lock: on Windows nobody reads what is locked."""
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    facts = {"owner": str(Owner.current()), "host": host_name(), "since": since}
    with suppress(CacheNotWritableError), Staging(tmp) as staging:
        staging.add(holder.name, json.dumps(facts).encode("ascii"))
        staging.place(holder.name, holder)


def _whom(holder: Path) -> str:
    """Who holds the lock, in words; the word of a process that is gone is not believed."""
    try:
        with holder.open("rb") as file:
            facts = parse_object(file.read(4097), limit=4096)
        owner = Owner.parse(str(facts["owner"]))
        host, since = re.sub(r"[^\w.-]", "_", str(facts["host"]))[:64], datetime.fromisoformat(str(facts["since"]))
    except (OSError, ValueError, KeyError):
        owner = None
    if owner is None or owner.is_gone():
        return "another process, which has not said who it is"
    return f"process {owner.pid} on {host}, at work since {since:%Y-%m-%d %H:%M:%S} UTC"


def _silent(_: str) -> None:
    pass
