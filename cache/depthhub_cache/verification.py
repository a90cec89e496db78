"""Whether an entry is what was published: quickly, by records, sizes and headers, or deeply, by every byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .entry import Entry, broken, read_entry, unreadable
from .errors import BrokenEntryError, CacheError
from .identity import ContentHash, Key
from .reading import open_file
from .safetensors_header import check_header

_CHUNK = 4 << 20


def verify_entry(folder: Path, key: Key, *, deep: bool) -> Entry:
    """The entry in `folder`, checked. Raises BrokenEntryError that names what is wrong, or that there is none.

    quick: finds every truncation, and every changed byte of record and header. deep: every changed byte of the weights.
    """
    entry = read_entry(folder, key)
    if entry is None:
        raise broken(folder, "it is not there")
    try:
        if entry.weights.suffix == ".safetensors":
            _check_frame(entry)
        if deep:
            _check_bytes(entry)
    except FileNotFoundError as error:
        raise broken(folder, f"{entry.weights.name} is missing") from error
    except OSError as error:
        if isinstance(error, CacheError):
            raise
        raise unreadable(folder, error) from error  # nothing that was read is wrong
    return entry


def is_broken(folder: Path, key: Key, *, deep: bool) -> bool:
    """Whether what lies in `folder` is wrong, and not just out of reach."""
    try:
        verify_entry(folder, key, deep=deep)
    except BrokenEntryError:
        return True
    except CacheError:
        return False
    return False


def sha256_of(path: Path) -> ContentHash:
    """The sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return ContentHash(digest.hexdigest())


def _check_frame(entry: Entry) -> None:
    try:
        check_header(entry.weights, entry.record.weights_size)
    except ValueError as error:
        raise broken(entry.path, f"{entry.weights.name} is damaged: {error}") from error


def _check_bytes(entry: Entry) -> None:
    found = sha256_of(entry.weights)
    if found != entry.record.weights_sha256:
        raise broken(entry.path, f"{entry.weights.name} has sha256 {found} instead of {entry.record.weights_sha256}")
