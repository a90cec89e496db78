"""sha256 of a file, in one pass, with progress."""

from __future__ import annotations

import hashlib
from pathlib import Path

from depthhub_cache.identity import ContentHash

from ..progress import Progress, Report

_CHUNK = 4 << 20


def sha256_of(path: Path, source: str, report: Report) -> ContentHash:
    """The content hash of `path`, every byte read."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        total, done = path.stat().st_size, 0
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            done += count
            report(Progress(source, "verifying", done, total))
    return ContentHash(digest.hexdigest())
