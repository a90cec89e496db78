"""sha256 of a file, in one pass, with progress; and whether a file is still the one that was hashed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from depthhub_cache.identity import ContentHash

from ..errors import CheckpointError
from ..progress import Progress, Report

_CHUNK = 4 << 20

Fingerprint = tuple[int, ...]
"""Size, times of the last write and of the last change of any kind (ns), inode, device: new for new content."""


def sha256_of(path: Path, source: str, report: Report) -> ContentHash:
    """The content hash of `path`, every byte read. Raises CheckpointError where the system does not let us."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    try:
        with path.open("rb", buffering=0) as file:
            total, done = path.stat().st_size, 0
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
                done += count
                report(Progress(source, "verifying", done, total))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.", path=path) from error
    return ContentHash(digest.hexdigest())


def fingerprint(path: Path) -> Fingerprint:
    """What tells a file's content from any other's without reading it. Raises CheckpointError where it is gone."""
    try:
        stat = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.", path=path) from error
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)


def require_unchanged(path: Path, before: Fingerprint) -> None:
    """Raises CheckpointError where `path` is not the file, or not as it was, when `before` was taken."""
    if fingerprint(path) != before:
        raise CheckpointError(f"{path} changed while it was read. Try again when it is complete.", path=path)
