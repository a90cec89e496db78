"""What failed verification is set aside as it was found, with the reason: `quarantine/<name>-<random>/`, reason.json.

Nothing is repaired and nothing silently deleted: the collection removes it in the end, and says so. What a process has
in hand, to look once more whether it failed, has the name of that process after a dot until it is told.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from . import disk
from .abandoned import is_abandoned
from .dates import date_of
from .errors import CacheError
from .owner import Owner
from .reading import children, is_folder, read_file
from .sealed import seal, unseal
from .staging import Staging
from .tier import Tier

log = logging.getLogger("depthhub_cache")

_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{8}")
_REASON = "reason.json"
_LIMIT = 1 << 16


def set_aside(
    path: Path, reason: str, *, own: Tier, was: Path | None = None, still: Callable[[Path], bool] | None = None
) -> Path | None:
    """Move something of the tier `own` to its quarantine in one step, with the reason; its place there, None if gone.

    was: where it was, if it was moved from there already. still: asked, when it is out of everybody's way, whether this
    is what failed; else it goes back, and None is the answer. Until then it has a name that nobody removes. Where not
    even the reason can be written, on a full disk, it stays there without.
    """
    was = was or path
    place = own.folder("quarantine") / f"{was.name.partition('.')[0]}-{os.urandom(4).hex()}"
    if still is not None:
        hand = place.with_name(f"{place.name}.{Owner.current().unique_name()}")
        taken = _take(path, hand, was.name)
        if taken is None or not _is_what_failed(taken, hand, was, still):
            return None
        path = hand
    if _take(path, place, was.name) is None:
        return None
    _note(place, reason, tmp=own.folder("tmp"), of=was)
    log.warning("set aside in %s: %s", place, reason)
    return place


def _take(path: Path, place: Path, name: str) -> Path | None:
    """Move a folder to `place`, or a file, called `name`, into it; where it is now, None if it is gone."""
    taken = place if is_folder(path) else place / name
    if taken != place:
        disk.make_folder(place)
    if not disk.take_away(path, taken):
        disk.remove_empty_folder(place)
        return None
    with suppress(CacheError):
        disk.mark(place)  # it is as old as its stay here, not as what it was
    return taken


def _is_what_failed(taken: Path, hand: Path, was: Path, still: Callable[[Path], bool]) -> bool:
    """What is not, or cannot be told to be, gets back its name `was`. taken: it, which is `hand` or in it."""
    failed = False
    try:
        with suppress(CacheError):
            failed = still(taken)
    finally:
        if not failed:
            if not disk.publish(taken, was):
                disk.delete_tree(taken)  # there is one more that is whole
            disk.remove_empty_folder(hand)
    return failed


def _note(place: Path, reason: str, *, tmp: Path, of: Path) -> None:
    """Leave beside what was set aside why, when and from where it was."""
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        with Staging(tmp) as staging:
            staging.add(_REASON, seal({"schema": 1, "reason": reason[: _LIMIT // 16], "path": str(of), "since": since}))
            staging.place(_REASON, place / _REASON)
    except CacheError as error:
        log.debug("the reason is not noted: %s", error)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """Something in the quarantine. since: ISO 8601, UTC. bytes: what it takes of the disk."""

    path: Path
    bytes: int
    since: str
    reason: str


def set_aside_in(quarantine: Path) -> Iterator[SetAside]:
    """Everything in the quarantine, with its reason."""
    for path in all_set_aside(quarantine):
        with suppress(OSError):  # gone since
            since = date_of(path.lstat().st_mtime).isoformat(timespec="seconds")
            yield SetAside(path=path, bytes=disk.tree_size(path), since=since, reason=reason_of(path))


def reason_of(place: Path) -> str:
    """Why something was set aside."""
    try:
        return str(unseal(read_file(place / _REASON, _LIMIT), limit=_LIMIT).get("reason"))
    except (OSError, ValueError):
        return "not noted"


def all_set_aside(quarantine: Path) -> Iterator[Path]:
    """Everything that was set aside in the quarantine; what has a name that is none of ours stays out of it.

    What a process has in hand, to look whether it failed, counts when that process is surely gone.
    """
    for path in children(quarantine):
        name, _, in_hand = path.name.partition(".")
        if _NAME.fullmatch(name) and (not in_hand or is_abandoned(path, Owner.of_name(in_hand))):
            yield path
