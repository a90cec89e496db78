"""What failed verification is set aside as it was found, with the reason: `quarantine/<name>-<random>/`, reason.json.

Nothing is repaired and nothing silently deleted: the collection removes it in the end, and says so.
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
from .dates import date_of
from .errors import CacheError
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
    is what failed; else it goes back, and None is the answer. Where not even the reason can be written, on a full disk,
    it stays there without.
    """
    was = was or path
    quarantine = own.folder("quarantine")
    taken = _take(path, was.name, quarantine)
    if taken is None:
        return None
    if still is not None and not _surely(still, taken):
        if not disk.publish(taken, was):
            disk.delete_tree(taken)  # there is one more that is whole
        disk.remove_empty_folder(taken.parent)
        return None
    place = quarantine / taken.relative_to(quarantine).parts[0]
    with suppress(CacheError):
        disk.mark(place)  # it is as old as its stay here, not as what it was
    _note(place, reason, tmp=own.folder("tmp"), of=was)
    log.warning("set aside in %s: %s", place, reason)
    return place


def _take(path: Path, name: str, quarantine: Path) -> Path | None:
    """Move a published folder or file, called `name`, to the quarantine; where it is now, None if gone."""
    place = quarantine / f"{name.partition('.')[0]}-{os.urandom(4).hex()}"
    if is_folder(path):
        return place if disk.take_away(path, place) else None
    disk.make_folder(place)
    if disk.take_away(path, place / name):
        return place / name
    disk.remove_empty_folder(place)
    return None


def _surely(still: Callable[[Path], bool], path: Path) -> bool:
    """Whether it is what failed; what cannot be told is put back."""
    try:
        return still(path)
    except CacheError:
        return False


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
    """Everything that was set aside in the quarantine; what has a name that is none of ours stays out of it."""
    return (path for path in children(quarantine) if _NAME.fullmatch(path.name))
