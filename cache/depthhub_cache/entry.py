"""A published entry, and the one way to read it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from . import record
from .errors import BrokenEntryError, CacheError
from .identity import Key
from .record import Record


@dataclass(frozen=True, slots=True)
class Entry:
    """A published, immutable directory. weights: its file; record: what it says of itself."""

    key: Key
    path: Path
    weights: Path
    record: Record


def read_entry(folder: Path, key: Key) -> Entry | None:
    """The entry in `folder` after the cheap check: its record parses and is its own, the weights have their size.

    Takes no lock, writes nothing, lists nothing. None where there is no entry. Raises BrokenEntryError where there is
    something else than what was published, and CacheError where the system does not let us read.
    """
    try:
        data = _read(folder / record.FILE_NAME, record.LIMIT)
        found = Record.parse(data)
        weights = folder / found.weights
        state = weights.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if not os.path.lexists(folder):
            return None
        raise broken(folder, f"{Path(error.filename).name} is missing") from error
    except IsADirectoryError as error:
        raise broken(folder, f"{record.FILE_NAME} is a folder") from error
    except ValueError as error:
        raise broken(folder, f"{record.FILE_NAME} is damaged: {error}") from error
    except OSError as error:
        raise CacheError(
            f"The entry {folder} cannot be read: {error.strerror}. Ask its owner for permission to read it, "
            "or name another folder with DEPTHHUB_CACHE or cache_dir.",
            path=folder,
        ) from error
    if found.key != key:
        raise broken(folder, f"{record.FILE_NAME} is that of entry {found.key}")
    if not stat.S_ISREG(state.st_mode):
        raise broken(folder, f"{found.weights} is not a file")
    if state.st_size != found.weights_size:
        raise broken(folder, f"{found.weights} has {state.st_size:,} bytes instead of {found.weights_size:,}")
    return Entry(key, folder, weights, found)


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)


def broken(folder: Path, what: str) -> BrokenEntryError:
    """The error that says `what` is wrong with the entry in `folder`, and what to do."""
    return BrokenEntryError(
        f"The entry {folder} is broken: {what}. Remove it with `depthhub cache remove {folder.name[:12]}`; "
        "it is made again when it is needed.",
        path=folder,
    )
