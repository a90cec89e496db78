"""A checkpoint file, opened once, and what it is, told by its content: a suffix may say anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

    path: for messages. folder: a descriptor of its folder (`held`), if what lies beside it matters. file: whoever reads
    it says from where. container: how the tensors in it are packed.
    Raises NotFoundError, and CheckpointError where it is no checkpoint, saying what it is.
    """

    def __init__(self, path: Path, folder: int | None = None) -> None:
        self.path = path
        self.folder = folder
        self.file = _opened(path, folder)
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
    def state(self) -> os.stat_result:
        """What the system says of it. Raises CheckpointError where it does not."""
        try:
            return os.fstat(self.file.fileno())
        except OSError as error:
            raise unreadable(self.path, error) from error

    @property
    def size(self) -> int:
        """Bytes. Raises CheckpointError where the system does not tell."""
        return self.state.st_size

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
        number = self.file.fileno()
        for folder in ("/proc/thread-self/fd", "/proc/self/fd", "/dev/fd"):  # a thread may have descriptors of its own
            with suppress(OSError):
                own = Path(folder, str(number))
                if os.path.samestat(own.stat(), os.fstat(number)):
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


@contextmanager
def held(folder: Path) -> Iterator[int | None]:
    """A descriptor of `folder`: what is opened by it lies in this one folder, wherever its path leads meanwhile.

    None where the system has no such way (Windows), or does not let us: then paths have to do.
    """
    descriptor = None
    if os.open in os.supports_dir_fd:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY))
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def open_file(path: Path, folder: int | None = None) -> FileIO | None:
    """A regular file, open to read. None where something else is there: a pipe would wait for ever.

    folder: a descriptor of its folder (`held`). Raises OSError, and ValueError for what can be no path.
    """
    name = path if folder is None else path.name or os.curdir

    def opener(_: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0), dir_fd=folder)  # a pipe may be there by now

    if not stat.S_ISREG(os.stat(name, dir_fd=folder).st_mode):
        return None
    file = FileIO(path, opener=opener)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    return None


def _opened(path: Path, folder: int | None) -> FileIO:
    try:
        file = open_file(path, folder)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise NotFoundError(f"There is no file {path}.", source=str(path)) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if file is not None:
        return file
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder. Name one file of weights in it.", path=path)
    raise CheckpointError(f"{path} is no regular file. Save the weights in one.", path=path)


def _container_of(file: FileIO, path: Path) -> Container:
    try:
        head = file.read(HEAD)
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise unreadable(path, error) from error

    if head.startswith(ZIP_MAGIC):
        return "zip"
    if _begins_as_safetensors(head):
        return "safetensors"
    if head.startswith(PICKLE_MAGIC):
        return "legacy"
    raise CheckpointError(f"{path} is no checkpoint: {_what_else(head, size)}", path=path)


def unreadable(path: Path, error: OSError | MemoryError | RuntimeError) -> CheckpointError:
    """For what the system refuses: nothing that was read is wrong."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return CheckpointError(f"{path} cannot be read: {reason}.", path=path)


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
