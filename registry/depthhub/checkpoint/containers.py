"""A checkpoint file, opened once, and what it is, told by its content: a suffix may say anything."""

from __future__ import annotations

import os
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Literal

from ..errors import CheckpointError, NotFoundError

Container = Literal["zip", "legacy", "safetensors"]
"""`zip`: torch.save since 1.6. `legacy`: torch.save before, or on request. `safetensors`."""

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first of the five pickles in a file of torch.save's old format: a number, in pickle protocol 2."""

PICKLE_MAGIC = b"\x80"
LFS_MAGIC = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml")
HEAD = 512


class OpenCheckpoint:
    """A checkpoint, opened once: what is hashed, parsed and converted is this one file, wherever its path leads later.

    path: for messages. file: whoever reads it says from where. container: how the tensors in it are packed.
    Raises NotFoundError, and CheckpointError where it is no checkpoint, saying what it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = _opened(path)
        try:
            self.container = _container_of(self.file, path)
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> OpenCheckpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self.file.fileno()).st_size

    @property
    def real_path(self) -> Path:
        """Where it is, without links; its path as it is, where that is only the text of a link (`/dev/fd/3`)."""
        real = Path(os.path.realpath(self.path))
        try:
            return real if os.path.samestat(real.stat(), os.fstat(self.file.fileno())) else self.path
        except OSError:
            return self.path

    @property
    def own_path(self) -> Path:
        """For a library that opens files itself: a path that leads to this very file.

        On Windows its own path does, for as long as it is open. Raises CheckpointError where the system has none.
        """
        if os.name == "nt":
            return self.path
        for folder in ("/proc/self/fd", "/dev/fd"):
            if (own := Path(folder, str(self.file.fileno()))).exists():
                return own
        raise CheckpointError(
            f"{self.path} cannot be read safely here: neither /proc nor /dev/fd is mounted. Mount one, or convert it "
            "elsewhere.",
            path=self.path,
        )

    def whole(self) -> bytes:
        """Its content. For small files."""
        with self.buffered() as file:
            return file.read()

    def buffered(self) -> BufferedReader:
        """From the beginning on; for many small reads."""
        self.file.seek(0)
        return open(self.file.fileno(), "rb", closefd=False)


def _opened(path: Path) -> FileIO:
    if not path.exists():
        raise NotFoundError(f"There is no file {path}.", source=str(path))
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder. Name one file of weights in it.", path=path)
    if not path.is_file():  # a pipe would wait for ever
        raise CheckpointError(f"{path} is no regular file. Save the weights in one.", path=path)
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.", path=path) from error


def _container_of(file: FileIO, path: Path) -> Container:
    try:
        head = file.read(HEAD)
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.", path=path) from error

    if head.startswith(ZIP_MAGIC):
        return "zip"
    if _begins_as_safetensors(head):
        return "safetensors"
    if head.startswith(PICKLE_MAGIC):
        return "legacy"
    raise CheckpointError(f"{path} is no checkpoint: {_what_else(head, size)}", path=path)


def is_utf8(path: Path) -> bool:
    """False of a path with bytes that are no UTF-8 (POSIX allows any): libraries in C++ and Rust cannot open it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def require_utf8(path: Path) -> None:
    """Raises CheckpointError where safetensors could not open `path`, however sound the file is."""
    if not is_utf8(path):
        raise CheckpointError(
            f"{str(path)!r} is a path that is not valid UTF-8, and safetensors files are opened by UTF-8 paths only. "
            "Rename the file or its folder.",
            path=path,
        )


def _begins_as_safetensors(head: bytes) -> bool:
    """Eight bytes of length, then a JSON object. The length is checked against the file by those who read it."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def _what_else(head: bytes, size: int) -> str:
    if size == 0:
        return "it is empty. Download it again."
    if head.startswith(LFS_MAGIC):
        return (
            f"it is a Git LFS pointer ({size} bytes) to a file that was not fetched. Run `git lfs pull` there, "
            "or name the file on the Hub."
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return "it is a web page, saved in place of the file. Download the file itself, not the page that shows it."
    return (
        f"its {size} bytes begin with {head[:16]!r}, which is neither torch.save's format nor safetensors. "
        "Unpack it if it is an archive; else download it again."
    )
