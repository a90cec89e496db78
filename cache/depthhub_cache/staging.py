"""Work under way: files that a process writes and hashes in a directory of its own, before any of them is published."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from . import disk
from .errors import CacheNotWritableError
from .identity import ContentHash, is_file_name
from .owner import Owner
from .refusal import refusals

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_CHUNK = 4 << 20  # hashed while it is still in the processor's cache
_LARGE = 1 << 20  # what is worth a second thread
_SYNCED = 64 << 20  # brought to the disk at a time, while more is written


class StagedFile:
    """A file of a staging directory, hashed while it is written, and brought to the disk meanwhile.

    path: where it is written. size: bytes written so far.
    Every method raises CacheNotWritableError where the system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.finished = False
        self._digest = hashlib.sha256()
        self._pid = os.getpid()
        self._file = disk.create_file(path)
        self._beside: ThreadPoolExecutor | None = None
        self._syncing: Future[None] | None = None
        self._synced = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append all of `data`; its size in bytes. `size` and `sha256` stay true if it fails half-way."""
        _require_own_process(self._pid, self.path)
        view = memoryview(data)
        if not view.nbytes:  # such a view cannot be cast
            return 0
        left = view.cast("B")
        while left:
            written = self._take(left[:_CHUNK])
            self.size += written
            left = left[written:]
        return view.nbytes

    def _take(self, chunk: memoryview) -> int:
        """Write what the system takes of `chunk`; large ones are hashed by another thread at the same time."""
        if chunk.nbytes < _LARGE:
            with refusals(self.path):
                written = self._file.write(chunk)
            self._digest.update(chunk[:written])
            return written
        self._sync_beside()
        ahead = self._digest.copy()
        hashing = self._threads().submit(ahead.update, chunk)
        try:
            with refusals(self.path):
                written = self._file.write(chunk)
        finally:
            hashing.result()  # nobody may change the chunk before
        if written == chunk.nbytes:
            self._digest = ahead
        else:
            self._digest.update(chunk[:written])
        return written

    def _sync_beside(self) -> None:
        """Let the disk begin with what was written, so that little is left to wait for at the end."""
        if self.size - self._synced >= _SYNCED and (self._syncing is None or self._syncing.done()):
            self._require_synced()
            self._syncing, self._synced = self._threads().submit(os.fsync, self._file.fileno()), self.size

    def _require_synced(self) -> None:
        """Wait for the disk. What it refused once stays refused: Linux tells such an error once, and a later sync that
        succeeds proves nothing.
        """
        if self._syncing is not None:
            with refusals(self.path):
                self._syncing.result()

    def _threads(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # only a large file needs it

        self._beside = self._beside or ThreadPoolExecutor(2, "depthhub-staging")
        return self._beside

    def sha256(self) -> ContentHash:
        """Of all that was written so far."""
        return ContentHash(self._digest.hexdigest())

    def restart(self) -> None:
        """Empty it and begin anew."""
        with refusals(self.path):
            self._file.seek(0)
            self._file.truncate()
        self.size = self._synced = 0
        self._digest = hashlib.sha256()

    def finish(self) -> None:
        """Bring it to the disk and close it. Only a finished file can be published, and none that the disk refused."""
        _require_own_process(self._pid, self.path)
        self._require_synced()
        with refusals(self.path), self._file:
            os.fsync(self._file.fileno())
            found = os.fstat(self._file.fileno()).st_size
        if found != self.size:
            raise _spoiled(self.path, f"it has {found:,} bytes, and {self.size:,} were written")
        self.finished = True

    def close(self) -> None:
        if self._beside is not None:
            self._beside.shutdown()
        with refusals(self.path):
            self._file.close()


class Staging:
    """A directory in `tmp` that belongs to this process alone; it goes, with all that was not published, on exit."""

    def __init__(self, tmp: Path) -> None:
        self._pid = os.getpid()
        self._files: dict[str, StagedFile] = {}
        self.path = fresh_path(tmp)

    def __enter__(self) -> Staging:
        disk.make_own_folder(self.path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if os.getpid() == self._pid:  # a forked child that unwinds here must not remove its parent's work
            disk.delete_tree(self.path)

    @contextmanager
    def file(self, name: str) -> Iterator[StagedFile]:
        """A new file, finished when the context ends well. A second one of the same name replaces the first."""
        _require_own_process(self._pid, self.path)
        if not is_file_name(name):
            raise ValueError(f"{name!r} is not a plain file name")
        disk.remove_file(self.path / name)
        staged = self._files[name] = StagedFile(self.path / name)
        try:
            yield staged
            staged.finish()
        finally:
            staged.close()

    def finished(self, name: str) -> StagedFile:
        """The file `name`; ValueError unless it was written here to its end."""
        _require_own_process(self._pid, self.path)
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
        disk.put(self.finished(name).path, target)

    def gather(self, folder: str, files: Mapping[str, Path]) -> Path:
        """A folder in this directory with finished `files` (name in it -> where they are now), on the disk."""
        _require_own_process(self._pid, self.path)
        gathered = self.path / folder
        disk.gather(gathered, dict(files))
        return gathered


def _require_own_process(pid: int, path: Path) -> None:
    """A forked child has its parent's open files, at one place with it, and folders: what both make is neither's."""
    if os.getpid() != pid:
        raise _spoiled(path, "a forked process cannot go on with what its parent was making")


def _spoiled(path: Path, what: str) -> CacheNotWritableError:
    return CacheNotWritableError(f"{path} cannot be used: {what}. Nothing of it was published; call again.", path=path)


def fresh_path(tmp: Path) -> Path:
    """A name in `tmp` that nobody has, and that tells whose it is."""
    return tmp / Owner.current().unique_name()
