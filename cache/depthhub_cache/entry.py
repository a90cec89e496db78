"""A published entry, and the one way to read it."""

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from . import record
from .errors import BrokenEntryError, CacheError
from .identity import Key
from .reading import read_file
from .record import Record
from .safetensors_header import header_digest

_ATTEMPTS = 5

Identity = tuple[int, str]
"""When the record was written (ns), and its sha256: inodes are given out again, and change where mounts are joined."""


FileState = tuple[int, int]
"""Size and time of the last write (ns). Not the inode: some file systems give a file another one each time."""


class Entry(NamedTuple):
    """A published, immutable directory. weights: its file; record: what it says of itself.

    identity: what tells it from another one that has, or had, its name. state: of the weights when it was found; the
    file that is opened later has the same, or is another one.
    """

    key: Key
    path: Path
    weights: Path
    record: Record
    identity: Identity
    state: FileState


def file_state(state: os.stat_result) -> FileState:
    return state.st_size, state.st_mtime_ns


def read_entry(folder: Path, key: Key) -> Entry | None:
    """The entry in `folder` after the quick check: record and header have their digests, the weights their size.

    So everything that says what the numbers mean is as it was published, at the cost of a fraction of a millisecond.
    Takes no lock, writes nothing, lists nothing. None where there is no entry. Raises BrokenEntryError where there is
    something else than what was published, and CacheError where the system does not let us read.
    """
    for _ in range(_ATTEMPTS):
        before = _state_of(folder)
        if before is None:
            return None
        found = _look(folder, key)
        # A record of one entry and weights of another, which took its place in between, are no entry.
        if _state_of(folder) == before:
            break
    if isinstance(found, BrokenEntryError):
        raise found
    return found


def identity_of(folder: Path) -> Identity | None:
    """The identity of the entry in `folder`; None where it is not there. CacheError where the system does not tell."""
    path = folder / record.FILE_NAME
    try:
        return path.stat().st_mtime_ns, hashlib.sha256(read_file(path, record.LIMIT)).hexdigest()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise unreadable(folder, error) from error


def _look(folder: Path, key: Key) -> Entry | BrokenEntryError:
    try:
        return _examine(folder, key)
    except BrokenEntryError as error:
        return error
    except (FileNotFoundError, NotADirectoryError) as error:
        return broken(folder, f"{Path(error.filename).name} is missing")
    except IsADirectoryError as error:
        return broken(folder, f"{Path(error.filename).name} is a folder")
    except OSError as error:
        raise unreadable(folder, error) from error


def _examine(folder: Path, key: Key) -> Entry:
    try:
        data = read_file(folder / record.FILE_NAME, record.LIMIT)
        found = Record.parse(data)
    except ValueError as error:
        raise broken(folder, f"{record.FILE_NAME} is damaged: {error}") from error
    if found.key != key:
        raise broken(folder, f"{record.FILE_NAME} is that of entry {found.key}")
    weights = folder / found.weights
    state = weights.stat()
    if not stat.S_ISREG(state.st_mode):
        raise broken(folder, f"{found.weights} is not a file")
    if state.st_size != found.weights_size:
        raise broken(folder, f"{found.weights} has {state.st_size:,} bytes instead of {found.weights_size:,}")
    if found.header_sha256 is not None:
        try:
            digest = header_digest(weights, found.weights_size)
        except ValueError as error:
            raise broken(folder, f"{found.weights} is damaged: {error}") from error
        if digest != found.header_sha256:
            raise broken(folder, f"{found.weights} is damaged: its header is not the one that was published")
    identity = identity_of(folder)
    if identity is None:
        raise broken(folder, f"{record.FILE_NAME} is missing")
    if identity[1] != hashlib.sha256(data).hexdigest():
        raise broken(folder, "another one took its place while it was read")
    return Entry(key, folder, weights, found, identity, file_state(state))


def _state_of(folder: Path) -> tuple[int, int, int] | None:
    """Tells whether a path leads to the same folder, with the same things in it, as before."""
    try:
        state = os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(folder, error) from error
    return state.st_dev, state.st_ino, state.st_ctime_ns


def unreadable(folder: Path, error: OSError) -> CacheError:
    """The error for what lies in `folder`, that may be whole, and that the system does not let us read."""
    return CacheError(
        f"{folder} cannot be read: {error.strerror}. Ask its owner for permission to read it, "
        "or name another folder with DEPTHHUB_CACHE or cache_dir.",
        path=folder,
    )


def broken(folder: Path, what: str) -> BrokenEntryError:
    """The error that says `what` is wrong with the entry in `folder`, and what to do."""
    return BrokenEntryError(
        f"The entry {folder} is broken: {what}. `depthhub verify` sets it aside, unless it lies in a tier that is only "
        "read; it is made again when it is needed.",
        path=folder,
        reason=what,
    )
