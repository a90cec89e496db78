"""sha256 of a file, in one pass, with progress; and whether a file is still the one that was hashed."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from typing import NamedTuple

from depthhub_cache.filesystem import file_system_of
from depthhub_cache.identity import ContentHash

from ..checkpoint.containers import OpenCheckpoint, unreadable
from ..errors import CheckpointError
from ..progress import Progress, Report

_CHUNK = 4 << 20

_HEAD, _TAIL, _SAMPLES = 4096, 1 << 16, 16

_DATE_MAPPED_WRITES = frozenset({"ext4", "xfs", "btrfs"})
"""Linux calls them when a mapped page that is on the disk is written to, and they date the file then."""

_TICK = 0.02
"""Seconds in which two writes may have the same time."""

Fingerprint = tuple[int | str, ...]
"""Size, times of the last write and of the last change of any kind (ns), inode, device; and the sha256 of samples.

The samples are for what changes no time: images of read-only file systems have the times and inodes of nobody, and
what is written through a map is dated later. The end of a .pth holds a checksum of every tensor.
"""


def sha256_of(opened: OpenCheckpoint, source: str, report: Report) -> ContentHash:
    """The content hash, every byte read. Raises CheckpointError where the system does not let us."""
    digest, total, done = hashlib.sha256(), opened.size, 0
    for chunk in _chunks(opened):
        digest.update(chunk)
        done += len(chunk)
        report(Progress(source, "verifying", done, total))  # what it raises is the caller's own
    if done != total:
        raise _changed(opened)
    return ContentHash(digest.hexdigest())


def _chunks(opened: OpenCheckpoint) -> Iterator[memoryview]:
    """All of the file, piece by piece, in one buffer."""
    buffer = memoryview(bytearray(_CHUNK))
    try:
        opened.file.seek(0)
        while count := opened.file.readinto(buffer):
            yield buffer[:count]
    except OSError as error:
        raise unreadable(opened.path, error) from error


def git_sha1_of(content: bytes) -> str:
    """What git calls a content that is not in LFS."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def fingerprint(opened: OpenCheckpoint) -> Fingerprint:
    """What tells a file's content from any other's without reading it all."""
    stat = opened.state
    try:
        samples = _sampled(opened.file)
    except OSError as error:
        raise unreadable(opened.path, error) from error
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev, samples)


def _sampled(file: FileIO) -> str:
    size = os.fstat(file.fileno()).st_size
    digest = hashlib.sha256()
    for at in (*range(0, size, max(_HEAD, size // _SAMPLES)), max(0, size - _TAIL)):
        file.seek(at)
        digest.update(file.read(_TAIL if size - at <= _TAIL else _HEAD))
    return digest.hexdigest()


def require_unchanged(opened: OpenCheckpoint, before: Fingerprint) -> None:
    """Raises CheckpointError where it is not the file, or not as it was, of which `before` was taken."""
    if fingerprint(opened) != before:
        raise _changed(opened)


def require_content(opened: OpenCheckpoint, content_hash: ContentHash, source: str, report: Report) -> None:
    """Raises CheckpointError where its bytes are others now than when they were hashed.

    To be asked after `require_unchanged`, where that does not find every change (`Settled.shows`).
    """
    if sha256_of(opened, source, report) != content_hash:
        raise _changed(opened)


def require_whole(opened: OpenCheckpoint) -> None:
    """Raises CheckpointError where a part of it was never written, as the file system tells, and no checksum would."""
    from ..checkpoint.checksums import are_complete  # a file that is known needs neither
    from .unwritten import first_unwritten

    hole = first_unwritten(opened.file, opened.size)
    if hole < opened.size and not are_complete(opened):
        raise CheckpointError(
            f"{opened.path}: a part of it was never written, from byte {hole:,} on: a download or a copy that stopped? "
            "Download or copy it again. Where zeros are meant there, `cp --sparse=never` makes a whole copy.",
            path=opened.path,
        )


class Settled(NamedTuple):
    """A file that is about to be hashed.

    shows: whatever is written from now on gives it another fingerprint. is_written: a process has it open to write;
    None where nobody tells.
    """

    fingerprint: Fingerprint
    shows: bool
    is_written: bool | None


def settle(opened: OpenCheckpoint) -> Settled:
    """Bring the file to the disk, and ask who writes to it.

    A write is dated when it begins, and its bytes may come seconds later: dates tell nothing while one is under way. A
    page that waits to be written out is not dated a second time, and that is over once it is written out.
    """
    file = opened.file
    with suppress(OSError):
        os.fsync(file.fileno())
    state = opened.state
    if 0 <= time.time() - max(state.st_mtime, state.st_ctime) < _TICK:
        time.sleep(_TICK)
    before, is_written = fingerprint(opened), _is_written(file)
    return Settled(before, is_written is False and _dates_mapped_writes(opened), is_written)


def _dates_mapped_writes(opened: OpenCheckpoint) -> bool:
    """Whether its file system does, as far as the path still leads to that, and in parts of a second."""
    state = opened.state
    try:
        same = opened.path.stat().st_dev == state.st_dev
    except OSError:
        return False
    is_fine = state.st_ctime_ns % 1_000_000_000 != 0  # old ext4 has whole seconds
    return same and is_fine and file_system_of(opened.path).type in _DATE_MAPPED_WRITES


def _is_written(file: FileIO) -> bool | None:
    """Linux tells by refusing a lease; of a file of somebody else it tells nothing."""
    try:
        import fcntl

        fcntl.fcntl(file.fileno(), fcntl.F_SETSIG, signal.SIGURG)  # who begins to write now ends nobody, as SIGIO would
        fcntl.fcntl(file.fileno(), fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file.fileno(), fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (ImportError, AttributeError, OSError):
        return None
    return False


def _changed(opened: OpenCheckpoint) -> CheckpointError:
    return CheckpointError(f"{opened.path} changed while it was read. Try again when it is complete.", path=opened.path)
