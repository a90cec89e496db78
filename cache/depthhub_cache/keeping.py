"""How a finished file becomes a kept original: as an entry is published, and known to be right by its bytes alone."""

from __future__ import annotations

from pathlib import Path

from . import disk, quarantine
from .entry import unreadable
from .errors import CacheError
from .identity import ContentHash, is_file_name
from .kept import kept_in
from .staging import Staging
from .tier import Tier
from .verification import sha256_of

_ATTEMPTS = 5
_KEPT_AGAIN = "it was damaged, and was kept again"


def keep(staged: Path, content_hash: ContentHash, *, filename: str, staging: Staging, own: Tier) -> Path:
    """Move the finished file `staged`, whose sha256 the caller has verified, to its place; where it is then.

    A file that is there already stays if its bytes are right; if not it is set aside, and replaced.
    """
    if not is_file_name(filename):
        raise ValueError(f"{filename!r} is not a plain file name")
    folder = own.original_folder(content_hash)
    gathered = staging.gather("kept", {filename: staged})
    for _ in range(_ATTEMPTS):
        if disk.publish_folder(gathered, folder):
            return folder / filename
        if there := _right_one(folder, content_hash):
            return there
        if disk.exchange_folder(gathered, folder):
            if not _right_one(gathered, content_hash):
                quarantine.set_aside_replaced(gathered, _KEPT_AGAIN, own=own, was=folder)
            return folder / filename
        quarantine.set_aside(folder, _KEPT_AGAIN, own=own, still=lambda path: not _right_one(path, content_hash))
    raise CacheError(f"Could not keep {folder}: other processes keep changing it. Try again.", path=folder)


def _right_one(folder: Path, content_hash: ContentHash) -> Path | None:
    """The file in `folder` that has its bytes. Raises CacheError where they are hidden from us."""
    for path in kept_in(folder):
        try:
            if sha256_of(path) == content_hash:
                return path
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unreadable(folder, error) from error
    return None
