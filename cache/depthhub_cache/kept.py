"""Original checkpoints that the user asked to keep: `<h2>/<sha256>/<file name>`, whole or absent like entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import disk
from .errors import CacheError
from .identity import ContentHash, is_file_name, is_sha256
from .staging import Staging, fresh_path
from .verification import sha256_of

_ATTEMPTS = 5


def keep(folder: Path, staged: Path, content_hash: ContentHash, *, filename: str, staging: Staging) -> Path:
    """Move the finished file `staged`, whose sha256 the caller has verified, to its place; where it is then.

    A file that is there already stays if its bytes are right, and is replaced if not.
    """
    if not is_file_name(filename):
        raise ValueError(f"{filename!r} is not a plain file name")
    gathered = staging.gather("kept", {filename: staged})
    for _ in range(_ATTEMPTS):
        if disk.publish_folder(gathered, folder):
            return folder / filename
        there = kept_in(folder)
        if there is not None and sha256_of(there) == content_hash:
            return there
        if disk.exchange_folder(gathered, folder):
            return folder / filename
        taken = fresh_path(staging.path.parent)
        if disk.take_away(folder, taken):
            disk.delete_tree(taken)
    raise CacheError(f"Could not keep {folder}: other processes keep changing it. Try again.", path=folder)


def kept_in(folder: Path) -> Path | None:
    """The file in `folder`, if there is one."""
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return next((path for path in paths if path.is_file()), None)


def all_kept(checkpoints: Path) -> Iterator[tuple[ContentHash, Path]]:
    """Every kept original, by the sha256 that it was kept under."""
    for folder in sorted(checkpoints.glob("*/*")):
        path = kept_in(folder)
        if path is not None and is_sha256(folder.name):
            yield ContentHash(folder.name), path
