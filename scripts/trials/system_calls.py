"""Records what a process asks of the file system below one folder: with strace, or by wrapping Python's own functions.

The second way is for systems without strace; it sees only what goes through the functions that `wrapped_calls.py`
wraps, so whoever uses a recording compares what it explains with what lies on the disk.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_DEADLINE = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that succeeded. Paths are relative to the folder that was watched; `.` is that folder.

    what: create, mkdir, write (`data` at `offset`), truncate (to `offset` bytes), move (`path` to `other`), exchange,
    remove (a file or an empty folder), sync (a file or a folder).
    """

    what: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        more = {"write": f" {len(self.data)} bytes at {self.offset}", "truncate": f" to {self.offset} bytes"}
        return f"{self.what} {self.path}{f' {self.other}' if self.other else ''}{more.get(self.what, '')}"


class NotModelledError(Exception):
    """The process did something that a replay of these calls would leave out."""


def strace_works() -> bool:
    """Whether it is here, and may look into another process."""
    if not sys.platform.startswith("linux") or shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, timeout=_DEADLINE, check=False)
    return done.returncode == 0


def record(script: Path, args: list[str], *, folder: Path, log: Path, strace: bool) -> list[Call]:
    """What `python script args` did below `folder`. log: a file for the recorder, outside of it."""
    folder = folder.resolve()
    program = [sys.executable, str(script), *args]
    if strace:
        watched = ",".join(f"?{name}" for name in (*_PATTERNS, *_NOT_MODELLED))
        command = ["strace", "-f", "-y", "-xx", "-s", str(1 << 26), "-e", f"trace={watched}", "-o", str(log), *program]
    else:
        wrapper = Path(__file__).with_name("wrapped_calls.py")
        command = [sys.executable, str(wrapper), str(log), str(folder), *program[1:]]
    done = subprocess.run(command, text=True, capture_output=True, timeout=_DEADLINE, check=False)
    if done.returncode:
        raise RuntimeError(f"{script.name} {' '.join(args)} ended with {done.returncode}: {done.stderr.strip()}")
    lines = log.read_text(encoding="utf-8").splitlines()
    return list(_told_by_strace(lines, folder) if strace else _told_by_the_wrapper(lines))


def _told_by_the_wrapper(lines: Iterable[str]) -> Iterator[Call]:
    for line in lines:
        facts = json.loads(line)
        if facts["what"] == "not modelled":
            raise NotModelledError(facts["path"])
        yield Call(**{**facts, "data": bytes.fromhex(facts.get("data", ""))})


# strace prints `PID name(arguments) = result`, with -xx every text as \x2f\x74..., with -y a descriptor as 3<path>.
_HEX = r"((?:\\x[0-9a-f]{2})*)"
_TEXT = rf'"{_HEX}"'
_AT = rf"(?:AT_FDCWD|\d+)<{_HEX}>"
_FD = rf"(\d+)<{_HEX}>"
_PATTERNS = {
    "open": rf"()?{_TEXT}, ([A-Z_|]+)",
    "openat": rf"{_AT}, {_TEXT}, ([A-Z_|]+)",
    "mkdir": rf"()?{_TEXT}",
    "mkdirat": rf"{_AT}, {_TEXT}",
    "rename": rf"()?{_TEXT}, ()?{_TEXT}()?",
    "renameat": rf"{_AT}, {_TEXT}, {_AT}, {_TEXT}()?",
    "renameat2": rf"{_AT}, {_TEXT}, {_AT}, {_TEXT}, ([A-Z_|0-9]+)",
    "unlink": rf"()?{_TEXT}",
    "rmdir": rf"()?{_TEXT}",
    "unlinkat": rf"{_AT}, {_TEXT}",
    "write": rf"{_FD}, {_TEXT}",
    "pwrite64": rf"{_FD}, {_TEXT}, \d+, (\d+)",
    "ftruncate": rf"{_FD}, (\d+)",
    "lseek": _FD,
    "fsync": _FD,
    "fdatasync": _FD,
}
_NOT_MODELLED = (
    "creat", "truncate", "link", "linkat", "symlink", "symlinkat", "writev", "pwritev", "pwritev2", "copy_file_range",
    "sendfile", "splice", "fallocate", "sync_file_range", "mmap", "io_uring_setup",
)  # fmt: skip
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?).*", re.DOTALL)
_UNFINISHED = re.compile(r"(\d+) +(\w+\(.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")


def _told_by_strace(lines: Iterable[str], folder: Path) -> Iterator[Call]:
    positions: dict[str, int] = {}
    for line in _joined(lines):
        found = _LINE.fullmatch(line)
        if found is None or found[4].startswith("-") or found[4] == "?":  # a signal, an exit; a call that was refused
            continue
        _, name, arguments, result = found.groups()
        if name in _NOT_MODELLED:
            _require_elsewhere(name, arguments, folder)
            continue
        matched = re.match(_PATTERNS[name], arguments)
        if matched is not None:  # else a descriptor of no file, or of one without a name any more
            yield from _calls(name, [part or "" for part in matched.groups()], int(result), folder, positions)


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """A call that another thread's line broke in two is one again."""
    begun: dict[str, str] = {}
    for line in lines:
        if found := _UNFINISHED.fullmatch(line):
            begun[found[1]] = f"{found[1]} {found[2]}"
        elif found := _RESUMED.fullmatch(line):
            yield begun.pop(found[1]) + found[2]
        else:
            yield line


def _calls(name: str, parts: list[str], result: int, folder: Path, positions: dict[str, int]) -> Iterator[Call]:
    if name in ("open", "openat"):
        positions[str(result)] = 0
        path = _below(folder, *parts[:2])
        if path is not None and "O_APPEND" in parts[2]:
            raise NotModelledError(f"appending to {path}")
        if path is not None and "O_CREAT" in parts[2]:
            yield Call(what="create", path=path)
        if path is not None and "O_TRUNC" in parts[2]:
            yield Call(what="truncate", path=path)
    elif name in ("write", "pwrite64", "ftruncate", "lseek", "fsync", "fdatasync"):
        descriptor, path = parts[0], _below(folder, "", parts[1])
        offset = int(parts[3]) if name == "pwrite64" else positions.get(descriptor, 0)
        if name == "write":
            positions[descriptor] = offset + result
        elif name == "lseek":
            positions[descriptor] = result
        if path is None or name == "lseek":
            return
        if name == "ftruncate":
            yield Call(what="truncate", path=path, offset=int(parts[2]))
        elif name in ("fsync", "fdatasync"):
            yield Call(what="sync", path=path)
        else:
            yield Call(what="write", path=path, offset=offset, data=_unhex(parts[2])[:result])
    else:
        path = _below(folder, *parts[:2])
        if name.startswith("rename"):
            other = _below(folder, *parts[2:4])
            if (path is None) != (other is None):
                raise NotModelledError(f"{name} across the border of the folder: {path or other}")
            if path is not None and other is not None:
                yield Call(what="exchange" if "RENAME_EXCHANGE" in parts[4] else "move", path=path, other=other)
        elif path is not None:
            yield Call(what="mkdir" if name.startswith("mkdir") else "remove", path=path)


def _require_elsewhere(name: str, arguments: str, folder: Path) -> None:
    if name == "mmap" and not ("MAP_SHARED" in arguments and "PROT_WRITE" in arguments):
        return
    mentioned = [_unhex(text) for text in re.findall(rf'["<]{_HEX}[">]', arguments)]
    if name == "io_uring_setup" or any(os.fsencode(folder) in text for text in mentioned):
        raise NotModelledError(f"{name} in the folder that was watched")


def _below(folder: Path, at: str, path: str) -> str | None:
    """Relative to `folder`; None where it is elsewhere."""
    place = Path(os.fsdecode(_unhex(at)) or Path.cwd(), os.fsdecode(_unhex(path)))
    place = Path(os.path.normpath(place))
    return str(PurePosixPath(place.relative_to(folder))) if place.is_relative_to(folder) else None


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace(r"\x", ""))
