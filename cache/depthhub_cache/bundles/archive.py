"""The one kind of archive that a bundle is: regular files one after the other, as every `tar` reads them (ustar).

A member is a header of 512 bytes, the bytes, and zeros up to the next 512; two blocks of zeros end the archive. Nothing
in it says who wrote it or when, so the same members are the same bytes.

The reader is told what comes next, and what it finds has to be, bit by bit, what the writer would have written. So a
name in an archive leads nowhere, whatever it is, and of all that tar has besides (links, devices, sparse files, long
names, other numbers, comments) nothing can be reached. `tarfile` is used for neither way: it reads all of that, and
what it writes into a header differs between versions of Python.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import BundleError

BLOCK = 512
SIZE_LIMIT = 8**11 - 1
"""Bytes of a member at most, 8 GiB: what eleven octal digits can say."""

END = bytes(2 * BLOCK)

Report = Callable[[int, int], None]
"""Told bytes done, and bytes in all. Raising in it cancels the work; nothing half-made stays behind."""

_CHUNK = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9.]*(?:/[a-z0-9][a-z0-9.]*)*")
_NAME_LIMIT = 100
_MAGIC = slice(257, 262)
_CHECKSUM = slice(148, 156)


def header(name: str, size: int) -> bytes:
    """The header of a regular file that anybody may read, of no time and no owner."""
    if not _NAME.fullmatch(name) or len(name) > _NAME_LIMIT or not 0 <= size <= SIZE_LIMIT:
        raise ValueError(f"{name!r} of {size:,} bytes cannot be a member of an archive")
    fields = (
        name.encode("ascii").ljust(_NAME_LIMIT, b"\0"),
        *(b"0000644\0", b"0000000\0", b"0000000\0"),  # mode, user, group
        *(b"%011o\0" % size, b"00000000000\0"),  # and the time
        *(b" " * 8, b"0"),  # where the checksum will be; a regular file
        *(bytes(100), b"ustar\x0000"),
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[: _CHECKSUM.start] + b"%06o\0 " % sum(block) + block[_CHECKSUM.stop :]


def silent(done: int, total: int) -> None:
    """The callback of a caller who did not ask."""


def padded(size: int) -> int:
    """Bytes that a file of `size` bytes takes in an archive, without its header."""
    return -(-size // BLOCK) * BLOCK


class ArchiveWriter:
    """Writes members in the order in which they are added. written: bytes so far."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.written = 0

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """A member. Raises ValueError unless `chunks` have `size` bytes together."""
        self._put(header(name, size))
        left = size
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            self._put(chunk)
        if left:
            raise ValueError(f"{name} has not the {size:,} bytes that were announced")
        self._put(bytes(padded(size) - size))

    def end(self) -> None:
        self._put(END)

    def _put(self, data: bytes) -> None:
        self._write(data)
        self.written += len(data)


class ArchiveReader:
    """Reads members that are known in advance. Every method raises BundleError where something else is found.

    path: of the archive, for messages. done: bytes read so far.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.done = 0

    def announced(self, name: str, *, limit: int) -> bytes:
        """The bytes of the next member, `name`, of a size that only its header tells: `limit` at most."""
        block = self._read(BLOCK, name)
        digits = block[124:135]
        size = int(digits, 8) if re.fullmatch(rb"[0-7]{11}", digits) else 0
        self._require_header(block, name, size)
        if size > limit:
            raise self.error(name, f"it has {size:,} bytes, more than the {limit:,} that it may have")
        return b"".join(self._content(name, size))

    def member(self, name: str, size: int) -> Iterator[bytes]:
        """The bytes of the next member, in pieces; what is behind them is checked when all were taken."""
        self._require_header(self._read(BLOCK, name), name, size)
        yield from self._content(name, size)

    def require_size(self, size: int) -> None:
        """Raises BundleError unless the whole file has `size` bytes, as far as one can ask it: a pipe tells nothing."""
        if not self._file.seekable():
            return
        found = self._file.seek(0, os.SEEK_END)
        self._file.seek(self.done)
        if found != size:
            raise self.error("its size", f"the file has {found:,} bytes instead of {size:,}")

    def end(self) -> None:
        """Raises BundleError unless the archive ends here."""
        if self._read(len(END), "its end") != END:
            raise self.error("its end", "something else is there, more members than it promises for one")
        if self._take(1):
            raise self.error("its end", "something follows it")

    def error(self, member: str, what: str) -> BundleError:
        """The error that says `what` is wrong with `member`."""
        return BundleError(
            f"{self._path} is no sound bundle: {member}: {what}. Copy it anew, compare its sha256 with the one that "
            "`depthhub cache export` printed, or export it again.",
            path=self._path,
            member=member,
        )

    def _content(self, name: str, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self._read(min(left, _CHUNK), name)
            left -= len(chunk)
            yield chunk
        if any(self._read(padded(size) - size, name)):
            raise self.error(name, "behind its bytes is something else than zeros")

    def _require_header(self, block: bytes, name: str, size: int) -> None:
        if block != header(name, size):
            raise self.error(name, _difference(block, name, size))

    def _read(self, size: int, member: str) -> bytes:
        data = self._take(size)
        if len(data) < size:
            raise self.error(member, f"the file ends too early, after {self.done:,} bytes")
        return data

    def _take(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end of the file; a pipe gives as much as it has, so it is asked again."""
        data = b""
        try:
            while len(data) < size and (more := self._file.read(size - len(data))):
                data += more
        except OSError as error:
            raise self.error(f"byte {self.done:,}", f"it cannot be read ({error.strerror or error})") from error
        self.done += len(data)
        return data


_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK": "zip",
}
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
    b"S": "a sparse file",
    **dict.fromkeys((b"x", b"g", b"L", b"K"), "a header of an extended kind"),
}


def _difference(block: bytes, name: str, size: int) -> str:
    """What is wrong with the header `block`, in words. Only for people: that it is wrong is known before."""
    for start, program in _COMPRESSED.items():
        if block.startswith(start) and block[_MAGIC] != b"ustar":
            return f"it is compressed ({program}), which a bundle never is; decompress it first"
    if not any(block):
        return "it is missing, the archive ends before it"
    if block[_MAGIC] != b"ustar":
        return "in its place is nothing that a bundle holds"
    if block[_CHECKSUM] != b"%06o\0 " % sum(block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]):
        return "its header is damaged"
    found = ascii(block[:_NAME_LIMIT].rstrip(b"\0").decode("utf-8", "replace"))
    if block[156:157] != b"0":
        return f"in its place is {_KINDS.get(block[156:157], 'something of an unknown kind')}, {found}"
    if found != ascii(name):
        return f"in its place is {found}"
    if block[124:136] != b"%011o\0" % size:
        return f"its header gives another size than {size:,} bytes"
    return "its header is not as `depthhub cache export` writes it"
