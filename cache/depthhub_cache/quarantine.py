"""What failed verification is set aside as it was found, with the reason: `quarantine/<name>-<random>/`, reason.json.

Nothing is repaired and nothing silently deleted: the collection removes it in the end, and says so.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from . import disk
from .errors import CacheError
from .sealed import seal, unseal
from .staging import Staging

log = logging.getLogger("depthhub_cache")

_REASON = "reason.json"
_LIMIT = 1 << 16


def set_aside(path: Path, reason: str, *, name: str, quarantine: Path, tmp: Path) -> Path | None:
    """Move a published folder or file to the quarantine, in one step; where it is now, None if it was not there.

    On a full disk it goes without the reason, for that alone needs space.
    """
    place = quarantine / f"{name}-{secrets.token_hex(4)}"
    if path.is_dir():
        moved = disk.take_away(path, place)
    else:
        disk.make_folder(place)
        moved = disk.take_away(path, place / path.name)
        if not moved:
            disk.remove_empty_folder(place)
    if not moved:
        return None
    _note(place, reason, tmp=tmp, of=path)
    log.warning("set aside in %s: %s", place, reason)
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


def reason_of(place: Path) -> str:
    """Why something was set aside."""
    try:
        with (place / _REASON).open("rb") as file:
            return str(unseal(file.read(_LIMIT + 1), limit=_LIMIT).get("reason"))
    except (OSError, ValueError):
        return "not noted"


def all_set_aside(quarantine: Path) -> Iterator[Path]:
    """Everything in the quarantine."""
    try:
        yield from sorted(quarantine.iterdir())
    except OSError:
        return
