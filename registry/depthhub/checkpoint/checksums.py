"""Whether the members of an archive are the bytes that were saved: a download may be as long as it should be and yet
hold zeros, or another version's bytes, in its middle.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from ..errors import CheckpointError
from .containers import OpenCheckpoint
from .words import shown
from .zipped import Member, Zipped, members_of

_THREADS = 2
"""zlib lets the others go on meanwhile, and two are about what a disk, or the page cache, can feed."""


_CHUNK = 4 << 20


def require_checksums(archive: Zipped) -> None:
    """Read every byte. Raises CheckpointError naming a member that is not what it was when its checksum was taken.

    A checksum of 0 is none: torch leaves them out on request (`set_crc32_options(False)`), and where the numbers are
    written later (`skip_data`).
    """

    def is_damaged(member: Member) -> bool:
        found = zlib.crc32(archive.bytes_of(member))
        archive.release()
        return found != member.crc32

    checked = _with_checksums(archive.members)
    with ThreadPoolExecutor(_THREADS, "depthhub-checksums") as pool:
        damaged = [member.name for member, bad in zip(checked, pool.map(is_damaged, checked), strict=True) if bad]
    if damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        raise CheckpointError(
            f"{archive.path} is damaged: its member {shown(damaged[0])}{more} has another checksum than when it was "
            "saved. A download that was not finished, or two versions of a file in one? Download it again.",
            path=archive.path,
        )


def are_complete(opened: OpenCheckpoint) -> bool:
    """Whether all its bytes that count have a checksum: one that is found right was written. Raises CheckpointError."""
    if opened.container != "zip":
        return False
    members = members_of(opened)
    return len(_with_checksums(members)) == sum(member.size > 0 for member in members.values())


def are_right(opened: OpenCheckpoint) -> bool:
    """Whether it has checksums, and they were found right, in one thread: to be called beside one that hashes it.

    The bytes are read and not mapped: who cuts the file short meanwhile must not end the process.
    """
    if opened.container != "zip" or not hasattr(os, "pread"):
        return False
    try:
        return all(_crc32_read(opened, member) == member.crc32 for member in _with_checksums(members_of(opened)))
    except (CheckpointError, OSError):  # told when it is read
        return False


def _with_checksums(members: Mapping[str, Member]) -> list[Member]:
    return [member for member in members.values() if member.size and member.crc32]


def _crc32_read(opened: OpenCheckpoint, member: Member) -> int:
    found, at, end = 0, member.begin, member.begin + member.size
    while at < end and (chunk := os.pread(opened.file.fileno(), min(_CHUNK, end - at), at)):
        found, at = zlib.crc32(chunk, found), at + len(chunk)
    return found
