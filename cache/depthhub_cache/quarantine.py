"""What failed verification is set aside as it was found, with the reason: `quarantine/<name>-<random>/`, reason.json.

Nothing is repaired and nothing silently deleted: the collection removes it in the end, and says so. What a process has
in hand, to look once more whether it failed, has the name of that process after a dot until it is told.
"""

from __future__ import annotations

import hashlib
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
from .identity import is_sha256
from .owner import Owner
from .reading import children, is_folder, read_file
from .sealed import seal, unseal
from .staging import Staging
from .tier import Tier

log = logging.getLogger("depthhub_cache")

_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{8}")
_REASON = "reason.json"
_LIMIT = 1 << 16
_ATTEMPTS = 3


def set_aside(
    path: Path, reason: str, *, own: Tier, was: Path | None = None, still: Callable[[Path], bool] | None = None
) -> Path | None:
    """Move something of the tier `own` to its quarantine, with the reason; where it is then, None if it is gone.

    was: where it was, if it was moved from there already. still: asked, when it is out of everybody's way, whether this
    is what failed; else it goes back, and None is the answer. Until then it has a name that nobody removes. Where not
    even the reason can be written, on a full disk, it stays there without.
    """
    was = was or path
    place = own.folder("quarantine") / f"{_digest(was)}-{os.urandom(4).hex()}"
    if still is None:
        if _take(path, place, was.name) is None:
            return None
    else:
        hand = place.with_name(f"{place.name}.{Owner.current().unique_name()}")
        taken = _take(path, hand, was.name)
        if taken is None or _is_given_back(taken, hand, was, still):
            return None
        place = _out_of_hand(hand, place)
    _note(place, reason, tmp=own.folder("tmp"), of=was)
    log.warning("set aside in %s: %s", place, reason)
    return place


def set_aside_replaced(replaced: Path, reason: str, *, own: Tier, was: Path) -> None:
    """The same of what something sound has just replaced at `was`: where it cannot be kept, that is no error."""
    try:
        set_aside(replaced, reason, own=own, was=was)
    except CacheError as error:  # what was asked for is done
        log.warning("%s: %s; what was there is lost: %s", was, reason, error)


def _digest(was: Path) -> str:
    """The sha256 in its name; that of the name where there is none, as of a copy that somebody made."""
    stem = was.name.partition(".")[0]
    return stem if is_sha256(stem) else hashlib.sha256(os.fsencode(was.name)).hexdigest()


def _take(path: Path, place: Path, name: str) -> Path | None:
    """Move a folder to `place`, or a file, called `name`, into it; where it is now, None if it is gone."""
    taken = place if is_folder(path) else place / name
    if taken == place:
        disk.freshen(path)  # it is as old as its stay there, not as what it was
    else:
        disk.make_folder(place)
    try:
        if disk.take_away(path, taken):
            return taken
    except CacheError:
        disk.remove_empty_folder(place)
        raise
    disk.remove_empty_folder(place)
    return None


def _is_given_back(taken: Path, hand: Path, was: Path, still: Callable[[Path], bool]) -> bool:
    """Give its name `was` back to what is not, or cannot be told to be, what failed. taken: it, `hand` or in it."""
    try:
        if _surely(still, taken):
            return False
    except BaseException:
        with suppress(CacheError):  # else it counts as set aside when this process has ended
            disk.publish(taken, was)
            disk.remove_empty_folder(hand)
        raise
    for _ in range(_ATTEMPTS):
        if disk.publish(taken, was):
            disk.remove_empty_folder(hand)
            return True
        if not _surely(still, was):  # there is one more that is whole
            disk.delete_tree(hand)
            return True
        if disk.exchange_folder(taken, was):  # what failed was there again, and is in hand now
            return False
    return False


def _surely(still: Callable[[Path], bool], path: Path) -> bool:
    """Whether it is what failed; what cannot be told is not."""
    try:
        return still(path)
    except CacheError:
        return False


def _out_of_hand(hand: Path, place: Path) -> Path:
    """Where it is now: in `place`, or in `hand` still, where it counts as set aside when this process has ended."""
    try:
        disk.take_away(hand, place)
    except CacheError as error:
        log.debug("it stays in hand: %s", error)
        return hand
    return place


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
        name, dot, in_hand = path.name.partition(".")
        if _NAME.fullmatch(name) and (not dot or is_abandoned(path, Owner.of_name(in_hand))):
            yield path
