"""Runs a script with Python's functions that change a file system wrapped: `wrapped_calls.py LOG FOLDER SCRIPT ARG...`.

Writes one JSON object to LOG for each call below FOLDER that succeeded; `system_calls.py` reads them. For systems
without strace. What it cannot see through (a buffered file, a link) it writes down as not modelled.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import pathlib
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any


class Log:
    """Knows what a descriptor was opened as: asking the system for that is different everywhere."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._folder = folder
        self._opened: dict[int, str] = {}

    def below(self, path: Any) -> str | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        place = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100  Path has nothing that only normalises
        return str(PurePosixPath(place.relative_to(self._folder))) if place.is_relative_to(self._folder) else None

    def call(self, what: str, path: str, **more: Any) -> None:
        self._file.write(json.dumps({"what": what, "path": path, **more}) + "\n")
        self._file.flush()

    def opened(self, descriptor: int, path: Any) -> None:
        below = self.below(path)
        if below is None:
            self._opened.pop(descriptor, None)
        else:
            self._opened[descriptor] = below

    def path_of(self, descriptor: int) -> str | None:
        return self._opened.get(descriptor)


class RecordedFile(io.FileIO):
    """An unbuffered file whose writes are written down."""

    def __init__(self, path: Any, mode: str, log: Log) -> None:
        self._log, self._path = log, log.below(path) or ""
        if mode[0] == "x" or not os.path.lexists(path):
            super().__init__(path, mode)
            log.call("create", self._path)
        else:
            super().__init__(path, mode)
        if mode[0] == "w":
            log.call("truncate", self._path)
        log.opened(self.fileno(), path)

    def write(self, data: Any) -> int:
        offset = self.tell()
        written = super().write(data) or 0
        self._log.call("write", self._path, offset=offset, data=bytes(memoryview(data).cast("B")[:written]).hex())
        return written

    def truncate(self, size: int | None = None) -> int:
        size = super().truncate(size)
        self._log.call("truncate", self._path, offset=size)
        return size


def wrap(log: Log) -> None:
    """From now on `log` is told."""

    def after(name: str, what: str) -> None:
        inner = getattr(os, name)

        def wrapped(path: Any, *args: Any, **options: Any) -> Any:
            below = log.below(path)
            if below is not None and any(value is not None for key, value in options.items() if key.endswith("dir_fd")):
                log.call("not modelled", f"{name} relative to a folder")
            other = log.below(args[0]) if what == "move" else ""
            answer = inner(path, *args, **options)
            if below is not None:
                log.call(what, below, **({"other": other} if other else {}))
            return answer

        setattr(os, name, wrapped)

    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # rmtree names whole paths then
    for name, what in (("mkdir", "mkdir"), ("rename", "move"), ("replace", "move")):
        after(name, what)
    for name in ("unlink", "remove", "rmdir"):
        after(name, "remove")
    for name in ("link", "symlink", "truncate"):
        after(name, "not modelled")
    _wrap_descriptors(log)
    _wrap_open(log)
    _wrap_exchange(log)


def _wrap_descriptors(log: Log) -> None:
    open_, write, fsync = os.open, os.write, os.fsync

    def recorded_open(path: Any, flags: int, *args: Any, **options: Any) -> int:
        descriptor = open_(path, flags, *args, **options)
        log.opened(descriptor, path)
        below = log.below(path)
        if below is not None and flags & os.O_CREAT:
            log.call("create", below)
        if below is not None and flags & os.O_TRUNC:
            log.call("truncate", below)
        return descriptor

    def recorded_write(descriptor: int, data: Any) -> int:
        if log.path_of(descriptor) is not None:
            log.call("not modelled", "os.write")
        return write(descriptor, data)

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        path = log.path_of(descriptor)
        if path is not None:
            log.call("sync", path)

    os.open, os.write, os.fsync = recorded_open, recorded_write, recorded_fsync
    if hasattr(os, "fdatasync"):
        os.fdatasync = recorded_fsync


def _wrap_open(log: Log) -> None:
    open_ = io.open

    def recorded(path: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
        if log.below(path) is None or not set(mode) & set("wxa+"):
            return open_(path, mode, buffering, *args, **options)
        if set(mode) == {"x", "b"}:  # a buffer would only hold an empty file, or show in the comparison at the end
            return RecordedFile(path, "xb", log)
        if buffering or not set(mode) <= set("wxb"):
            log.call("not modelled", f"open of {path} with {mode!r}")
        return RecordedFile(path, mode, log)

    io.open = builtins.open = recorded  # type: ignore[assignment]
    accessor: Any = getattr(pathlib, "_NormalAccessor", None)  # Python 3.10 keeps functions of its own
    for name in ("open", "mkdir", "rename", "replace", "unlink", "rmdir") if accessor else ():
        setattr(accessor, name, staticmethod(recorded if name == "open" else getattr(os, name)))


def _wrap_exchange(log: Log) -> None:
    """The one call that goes past Python."""
    from depthhub_cache import disk

    exchange: Callable[[Path, Path], bool] = disk.exchange

    def recorded(one: Path, other: Path) -> bool:
        done = exchange(one, other)
        below = log.below(one)
        if done and below is not None:
            log.call("exchange", below, other=log.below(other))
        return done

    disk.exchange = recorded  # type: ignore[assignment]


if __name__ == "__main__":
    _, log_path, folder, script, *rest = sys.argv
    wrap(Log(Path(log_path), Path(folder)))
    sys.argv = [script, *rest]
    runpy.run_path(script, run_name="__main__")
