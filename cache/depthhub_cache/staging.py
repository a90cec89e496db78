"""The one way into the store: stage, hash, sync, rename, sync the folder.

Nothing else of the package opens a file for writing, makes a folder, or renames anything; `exchange.py` lends this file
one system call. What has its final name was complete and on the disk before it got it; a crash leaves, at worst, a
staging directory that names its owner.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from .exchange import exchange
from .identity import ContentHash, is_file_name
from .owner import Owner
from .refusal import refusals

_CHUNK = 4 << 20  # hashed while it is still in the processor's cache
_PATIENCE = 2.0


class StagedFile:
    """A file of a staging directory, hashed while it is written.

    path: where it is written. size: bytes written so far.
    Every method raises CacheNotWritableError where the system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.finished = False
        self._digest = hashlib.sha256()
        with refusals(path):
            self._file = path.open("xb", buffering=0)

    def write(self, data: bytes | memoryview) -> int:
        """Append all of `data`; its size in bytes. `size` and `sha256` stay true if it fails half-way."""
        view = memoryview(data)
        if not view.nbytes:  # such a view cannot be cast
            return 0
        left = view.cast("B")
        while left:
            with refusals(self.path):
                written = self._file.write(left[:_CHUNK])
            self._digest.update(left[:written])
            self.size += written
            left = left[written:]
        return view.nbytes

    def sha256(self) -> ContentHash:
        """Of all that was written so far."""
        return ContentHash(self._digest.hexdigest())

    def restart(self) -> None:
        """Empty it and begin anew."""
        with refusals(self.path):
            self._file.seek(0)
            self._file.truncate()
        self.size = 0
        self._digest = hashlib.sha256()

    def finish(self) -> None:
        """Bring it to the disk and close it. Only a finished file can be published."""
        with refusals(self.path):
            os.fsync(self._file.fileno())
            self._file.close()
        self.finished = True

    def close(self) -> None:
        with refusals(self.path):
            self._file.close()


class Staging:
    """A directory in `tmp` that belongs to this process alone; it goes, with all that was not published, on exit."""

    def __init__(self, tmp: Path) -> None:
        self._pid = os.getpid()
        self._files: dict[str, StagedFile] = {}
        self.path = _fresh_path(tmp)

    def __enter__(self) -> Staging:
        make_folder(self.path.parent)
        with refusals(self.path):
            self.path.mkdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if os.getpid() == self._pid:  # a forked child that unwinds here must not remove its parent's work
            delete_tree(self.path)

    @contextmanager
    def file(self, name: str) -> Iterator[StagedFile]:
        """A new file, finished when the context ends well. A second one of the same name replaces the first."""
        if not is_file_name(name):
            raise ValueError(f"{name!r} is not a plain file name")
        with refusals(self.path / name):
            (self.path / name).unlink(missing_ok=True)
        staged = self._files[name] = StagedFile(self.path / name)
        try:
            yield staged
            staged.finish()
        finally:
            staged.close()

    def finished(self, name: str) -> StagedFile:
        """The file `name`; ValueError unless it was written here to its end."""
        staged = self._files.get(name)
        if staged is None or not staged.finished:
            raise ValueError(f"{name!r} was not written to its end in this staging directory")
        return staged

    def add(self, name: str, data: bytes) -> Path:
        """A small file with `data`."""
        with self.file(name) as staged:
            staged.write(data)
        return staged.path

    def place(self, name: str, target: Path) -> None:
        """Move the finished file `name` to `target`, over what may be there: a reader sees the one or the other."""
        source = self.finished(name).path
        make_folder(target.parent)
        with refusals(target):
            _patiently(lambda: source.replace(target))
            _sync_folder(target.parent)

    def gather(self, folder: str, files: Mapping[str, Path]) -> Path:
        """A folder in this directory with finished `files` (name in it -> where they are now), on the disk."""
        gathered = self.path / folder
        with refusals(gathered):
            gathered.mkdir()
            for name, path in files.items():
                _patiently(lambda path=path, name=name: path.rename(gathered / name))  # type: ignore[misc]
            _sync_folder(gathered)
        return gathered


def publish_folder(folder: Path, target: Path) -> bool:
    """Give the gathered `folder` its final name in one step; False, and nothing done, where `target` is taken."""
    make_folder(target.parent)
    with refusals(target):
        try:
            _patiently(lambda: folder.rename(target))
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):  # the last: a file is there
                return False
            raise
        _sync_folder(target.parent)
    return True


def exchange_folder(folder: Path, target: Path) -> bool:
    """Give the gathered `folder` the name `target`, and what had it, broken, the place of `folder`, in one step.

    So nobody misses what a third process may have put there meanwhile. False, and nothing done, where that cannot be.
    """
    with refusals(target):
        done = exchange(folder, target)
        if done:
            _sync_folder(target.parent)
    return done


def take_away(path: Path, tmp: Path) -> Path | None:
    """Move a published `path` into `tmp` in one step, as a staging directory of this process; None if it is not there.

    Needs no new file and no space. Those who have it open or mapped keep it.
    """
    if not os.path.lexists(path):
        return None
    make_folder(tmp)
    taken = _fresh_path(tmp)
    with refusals(path):
        try:
            _patiently(lambda: path.rename(taken))
        except FileNotFoundError:
            return None
        _sync_folder(path.parent)
    return taken


def delete_tree(path: Path) -> int:
    """Remove a directory (or file) of `tmp`, as far as the system lets us; bytes freed. What stays is swept later."""
    before = tree_size(path)
    if _is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    return before - tree_size(path)


def remove_file(path: Path) -> None:
    """Remove a single file that need not be there."""
    with refusals(path):
        if os.path.lexists(path):  # a read-only file system refuses to remove even what is not there
            _patiently(lambda: path.unlink(missing_ok=True))


def make_file(path: Path) -> None:
    """Make an empty file unless it is there. For locks, which hold nothing."""
    make_folder(path.parent)
    with refusals(path), suppress(FileExistsError):
        path.open("xb").close()


def make_folder(path: Path) -> None:
    """Make a folder with its parents, each on the disk before anything is put into it."""
    with refusals(path):
        if path.is_dir():
            return
        make_folder(path.parent)
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():
                raise
        _sync_folder(path.parent)


def tree_size(path: Path) -> int:
    """Bytes of the files in a directory, or of a file; what vanishes meanwhile counts nothing."""
    if not _is_folder(path):
        try:
            return path.lstat().st_size
        except OSError:
            return 0
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  a Path for each file is slow
    return size


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()  # what a link leads to is not ours


def _fresh_path(tmp: Path) -> Path:
    return tmp / f"{Owner.current()}-{secrets.token_hex(4)}"


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system has a way to ask for it."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may be allowed to write into a folder and not to open it
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def _patiently(move: Callable[[], object]) -> None:
    """On Windows a file that anyone has open, a virus scanner for one, cannot be moved: try for a moment."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            move()
        except PermissionError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
