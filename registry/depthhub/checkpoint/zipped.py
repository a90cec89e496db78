"""torch.save's zip format, member by member: one archive, its members stored as they are and where its list says.

Python's zipfile reads the list, and what it forgives is refused here. Nobody else reads the archive, so that what was
checked is what is used: torch has a reader of its own, which takes other bytes where a list is ambiguous.
"""

from __future__ import annotations

import mmap
import os
import struct
import zipfile
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CheckpointError
from .containers import ZIP_MAGIC, OpenCheckpoint
from .words import shown

_HEADER = 30
"""Bytes before a member's name, where its content lies."""

_END_MAGIC, _END = b"PK\x05\x06", 22
_LARGE = 0xFFFFFFFF
"""What stands for a number of more than 32 bits, which is then told elsewhere."""

_IS_UTF8, _HAS_DESCRIPTOR = 0x800, 0x8
_DESCRIPTOR_MAGIC = b"PK\x07\x08"


class Member(NamedTuple):
    """A file in the archive: `size` bytes from `begin` on. crc32: as the archive says, 0 where it says none."""

    name: str
    begin: int
    size: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Zipped:
    """A mapped archive. What is written to its memory stays in this process. members: in the order in which they lie.

    The file stays mapped for as long as a view of it lives.
    """

    path: Path
    content: memoryview
    members: dict[str, Member]

    @classmethod
    def of(cls, opened: OpenCheckpoint) -> Zipped:
        """Raises CheckpointError where the archive is damaged, ambiguous, or cannot be mapped."""
        path, members = opened.path, members_of(opened)
        try:
            mapped = mmap.mmap(opened.file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be mapped: {error}. Is it still whole?", path=path) from error
        return cls(path, memoryview(mapped), members)

    def bytes_of(self, member: Member) -> memoryview:
        return self.content[member.begin : member.begin + member.size]

    def release(self) -> None:
        """Let go of the pages that were read, which the system has and gives again: memory does not grow with the file.

        What was written to this memory would be lost; nobody here does.
        """
        mapped = self.content.obj
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def members_of(opened: OpenCheckpoint) -> dict[str, Member]:
    """What the archive holds, by name, in the order in which it lies there.

    The file is not mapped for it: who cuts it short meanwhile must not end the process.
    Raises CheckpointError where the archive is damaged or ambiguous.
    """
    path, content = opened.path, _Content(opened)
    try:
        with zipfile.ZipFile(BufferedReader(content)) as archive:
            listed, start = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise CheckpointError(
            f"{path} begins as torch.save's zip format, but is cut short or damaged: its {opened.size} bytes have "
            f"no readable list of members ({error}). Download it again.",
            path=path,
        ) from error
    _require_stored(listed, content.size, path)
    listed.sort(key=lambda info: info.header_offset)
    _require_one_archive(listed, start, content, path)
    members: dict[str, Member] = {}
    for member in (_member(info, content, path) for info in listed):
        if member.name in members:
            raise CheckpointError(f"{path} has two members of one name. It is damaged; download it again.", path=path)
        members[member.name] = member
    _require_apart(list(members.values()), [*(info.header_offset for info in listed[1:]), start], path)
    return members


class _Content(RawIOBase):
    """The file, read from a place of its own: who hashes it meanwhile seeks in it."""

    def __init__(self, opened: OpenCheckpoint) -> None:
        self.size = opened.size
        self._number, self._at = opened.file.fileno(), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("it is shorter than it says")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        found = self.at(self._at, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def at(self, begin: int, size: int) -> bytes:
        """`size` bytes from `begin` on, as far as there are so many."""
        if hasattr(os, "pread"):
            return os.pread(self._number, size, begin)
        os.lseek(self._number, begin, os.SEEK_SET)  # nobody hashes it meanwhile there
        return os.read(self._number, size)


def _require_stored(listed: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    for info in listed:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            raise CheckpointError(
                f"{path}: its member {shown(info.filename)} is compressed or encrypted, which torch.save never does, "
                "and which cannot be mapped. Unpack the archive if it only wraps a checkpoint; else save it anew.",
                path=path,
            )
    claimed = sum(info.file_size for info in listed)
    if claimed > size:
        raise CheckpointError(
            f"{path} has {size} bytes, but its members claim {claimed}. It is damaged; download it again.", path=path
        )


def _require_one_archive(listed: list[zipfile.ZipInfo], start: int, content: _Content, path: Path) -> None:
    """From the first byte on. zipfile looks for the list from the file's end, and forgives what stands before."""
    tail = content.at(max(0, content.size - _END - _LARGEST_COMMENT), _END + _LARGEST_COMMENT)
    [said] = struct.unpack_from("<I", tail.ljust(len(tail) + _END, b"\0"), tail.rfind(_END_MAGIC) + 16)
    if not listed or listed[0].header_offset != 0 or said not in (start, _LARGE):
        raise CheckpointError(
            f"{path} is not one zip archive from its first byte to its last: two files were joined, or its list of "
            "members is not where it says. Download it again.",
            path=path,
        )


_LARGEST_COMMENT = 0xFFFF


def _member(info: zipfile.ZipInfo, content: _Content, path: Path) -> Member:
    """Where the member lies, by its own header there, which must not contradict the list.

    A size of 0 contradicts nothing: torch writes headers before it knows sizes. The name is the one that the list has:
    `info.filename` may be another, out of a further field that some versions of Python look at.
    """
    at = info.header_offset
    head = content.at(at, _HEADER).ljust(_HEADER, b"\0")
    magic, *sizes, name, extra = struct.unpack("<4s14xIIHH", head)
    begin = at + _HEADER + name + extra
    said = content.at(at + _HEADER, name)
    listed = info.orig_filename.encode("utf-8" if info.flag_bits & _IS_UTF8 else "cp437")
    if magic != ZIP_MAGIC or said != listed or not set(sizes) <= {0, info.file_size, _LARGE}:
        raise CheckpointError(
            f"{path} is damaged: its member {shown(info.filename)} is not where the list of members says. A download "
            "that was not finished, or two versions of a file in one? Download it again.",
            path=path,
        )
    return Member(info.orig_filename, begin, info.file_size, info.CRC or _crc_behind(info, content, begin))


def _crc_behind(info: zipfile.ZipInfo, content: _Content, begin: int) -> int:
    """The checksum that torch writes a second time, behind a member: a list that lost its own does not hide it."""
    behind = content.at(begin + info.file_size, 8)
    if info.flag_bits & _HAS_DESCRIPTOR and behind[:4] == _DESCRIPTOR_MAGIC and len(behind) == 8:
        return int.from_bytes(behind[4:], "little")
    return 0


def _require_apart(members: list[Member], ends: list[int], path: Path) -> None:
    """ends: where the next member begins, in the same order."""
    for member, end in zip(members, ends, strict=True):
        if member.begin + member.size > end:
            raise CheckpointError(
                f"{path}: its member {shown(member.name)} reaches into what follows. It is damaged; download it again.",
                path=path,
            )
