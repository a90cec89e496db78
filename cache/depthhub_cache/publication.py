"""How a finished file becomes an entry.

It takes its place in one step, be it free or a broken entry's, which goes to the quarantine; where another process was
faster, what that one has published is adopted, after a look at every byte.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from pathlib import Path

from . import disk, quarantine, record
from .distrust import Distrusted
from .entry import Entry, Identity, file_state, identity_of
from .errors import BrokenEntryError, CacheError
from .record import Record
from .staging import Staging
from .tier import Tier
from .verification import verify_entry, why_broken

log = logging.getLogger("depthhub_cache")

_ATTEMPTS = 5
_MADE_AGAIN = "it was broken, and was made again"


def publish(made: Record, staging: Staging, *, own: Tier, distrusted: Distrusted) -> Entry:
    """Publish the finished file `made.weights` of `staging` with its record, in one step."""
    data, key = made.to_bytes(), made.key
    made = Record.parse(data)
    folder = own.entry_folder(key)
    gathered = staging.gather(
        "entry",
        {made.weights: staging.finished(made.weights).path, record.FILE_NAME: staging.add(record.FILE_NAME, data)},
    )

    def why_bad(path: Path) -> str | None:
        """What is wrong with what has or had the place of this entry; None: nothing."""
        if distrusted.is_known(path, at=folder):
            return "it failed a verification before"
        return why_broken(path, key, deep=False)

    for _ in range(_ATTEMPTS):
        if disk.publish_folder(gathered, folder):
            return _published(made, data, folder, distrusted)
        there = own.get(key)
        if there is not None and there not in distrusted:
            if adopted := _adopted(there, made, distrusted):
                return adopted
            continue
        if disk.exchange_folder(gathered, folder):
            why = why_bad(gathered)
            if why is not None:  # else another process was faster by a moment
                quarantine.set_aside_replaced(gathered, f"{_MADE_AGAIN}: {why}", own=own, was=folder)
            return _published(made, data, folder, distrusted)
        # Never written over: it may be mapped.
        reason = f"{_MADE_AGAIN}: {why_bad(folder)}"
        quarantine.set_aside(folder, reason, own=own, still=lambda path: why_bad(path) is not None)
    raise CacheError(f"Could not publish {folder}: other processes keep changing it. Try again.", path=folder)


def _adopted(there: Entry, made: Record, distrusted: Distrusted) -> Entry | None:
    """What another process has published, verified: sound bytes are at hand. None: it was not, and is set aside."""
    try:
        winner = verify_entry(there.path, there.key, deep=True)
    except BrokenEntryError as error:
        distrusted.add(there, error.reason)
        return None
    log.info("entry %s was published by another process meanwhile", winner.key)
    if winner.record.weights_sha256 != made.weights_sha256:
        log.warning("entry %s was made twice, with different bytes; keeping the first", winner.key)
    return winner


def _published(made: Record, data: bytes, folder: Path, distrusted: Distrusted) -> Entry:
    """The entry of the record `made`, which was written as `data`."""
    weights, state = folder / made.weights, (0, 0)
    with suppress(OSError):  # another process has moved it already
        state = file_state(weights.stat())
    identity: Identity | None = None
    with suppress(CacheError):
        identity = identity_of(folder)
    if identity is None or identity[1] != hashlib.sha256(data).hexdigest():
        identity = (0, "")  # what lies there by now is another's: nobody is to take it for this one
    distrusted.forgive(folder, identity)
    return Entry(made.key, folder, weights, made, identity, state)
