"""Whether an entry is what was published: quickly, by records, sizes and headers, or deeply, by every byte."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from .entry import Entry, broken, file_state, read_entry, unreadable
from .errors import BrokenEntryError, CacheError
from .identity import ContentHash, Key
from .reading import open_file
from .safetensors_header import check_header

_CHUNK = 4 << 20
_ATTEMPTS = 5


def verify_entry(folder: Path, key: Key, *, deep: bool) -> Entry:
    """The entry in `folder`, checked. Raises BrokenEntryError that names what is wrong, or that there is none.

    quick: finds every truncation, and every changed byte of record and header. deep: every changed byte of the weights.
    """
    for _ in range(_ATTEMPTS):
        entry = read_entry(folder, key)
        if entry is None:
            raise broken(folder, "it is not there")
        try:
            if entry.weights.suffix == ".safetensors":
                _check_frame(entry)
            if not deep or _check_bytes(entry):
                return entry
        except FileNotFoundError as error:
            raise broken(folder, f"{entry.weights.name} is missing") from error
        except ValueError as error:  # a pipe or a device is in its place
            raise broken(folder, f"{entry.weights.name} is damaged: {error}") from error
        except OSError as error:
            if isinstance(error, CacheError):
                raise
            raise unreadable(folder, error) from error  # nothing that was read is wrong
    raise CacheError(f"The entry {folder} was replaced each time that it was verified. Try again.", path=folder)


def is_broken(folder: Path, key: Key, *, deep: bool) -> bool:
    """Whether what lies in `folder` is wrong, and not just out of reach."""
    return why_broken(folder, key, deep=deep) is not None


def why_broken(folder: Path, key: Key, *, deep: bool) -> str | None:
    """What is wrong with what lies in `folder`, in words; None where nothing is, or where it is out of reach."""
    try:
        verify_entry(folder, key, deep=deep)
    except BrokenEntryError as error:
        return error.reason
    except CacheError:
        return None
    return None


def sha256_of(path: Path) -> ContentHash:
    """The sha256 of a file's bytes."""
    with open_file(path) as file:
        return _sha256_in(file)


def _sha256_in(file: BinaryIO) -> ContentHash:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return ContentHash(digest.hexdigest())


def _check_frame(entry: Entry) -> None:
    try:
        check_header(entry.weights, entry.record.weights_size)
    except ValueError as error:
        raise broken(entry.path, f"{entry.weights.name} is damaged: {error}") from error


def _check_bytes(entry: Entry) -> bool:
    """Raises BrokenEntryError where they are not those of its record. False: they are another one's by now."""
    with open_file(entry.weights) as file:
        if file_state(os.fstat(file.fileno())) != entry.state:
            return False
        found = _sha256_in(file)
    if found != entry.record.weights_sha256:
        raise broken(entry.path, f"{entry.weights.name} has sha256 {found} instead of {entry.record.weights_sha256}")
    return True
