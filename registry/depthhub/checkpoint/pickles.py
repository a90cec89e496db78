"""What a pickle wants to import, read without running it.

A pickle is a program. Here every name is read beforehand and held against what `unpickled.py` has for it, so that
nothing runs of a file that wants more, and a refusal names all of it.
"""

from __future__ import annotations

import os
import pickletools
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from ..errors import CheckpointError, UnsafeCheckpointError
from .containers import LEGACY_MAGIC, OpenCheckpoint
from .unpickled import IN_REACH
from .words import listed, shown
from .zipped import Member, Zipped

PICKLE_LIMIT = 64 << 20
"""Bytes of a pickle: a model of 400 tensors and its optimizer's state take less than one megabyte."""

LEGACY_PICKLES = 5
"""Magic number, protocol, system, the object, its storages' keys; raw bytes follow."""

SAFE_PROTOCOL = 2
"""What torch.save writes by default; in later ones a name may be made on the stack, where no scan sees it."""


class LegacyPickles(NamedTuple):
    """Of a file of the old format: the object, the keys of its storages, and where their numbers begin."""

    content: bytes
    keys: bytes
    end: int


def safe_legacy_pickles_in(opened: OpenCheckpoint) -> LegacyPickles:
    """Raises UnsafeCheckpointError where a file that begins as a pickle imports more than tensors need."""
    path = opened.path
    with opened.buffered() as file:
        is_torch = file.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC
        file.seek(0)
        scanned, ends = [], [0]
        for _ in range(LEGACY_PICKLES if is_torch else 1):
            scanned.append(_scan(file, path))
            ends.append(file.tell())
        _refuse(path, [name for pickle in scanned for name in pickle.imports])
        if not is_torch:
            raise CheckpointError(
                f"{path} is a pickle, but not one that torch.save wrote in a way that can be read safely. {_RE_SAVE}",
                path=path,
            )
        _require_safe_protocol(path, max(pickle.protocol for pickle in scanned))
        file.seek(ends[-3])
        return LegacyPickles(file.read(ends[-2] - ends[-3]), file.read(ends[-1] - ends[-2]), ends[-1])


class Pickle(NamedTuple):
    """The pickle of an archive, and the folder of the archive in which it and its storages are."""

    folder: str
    content: bytes


def safe_pickle_in(archive: Zipped) -> Pickle:
    """Raises UnsafeCheckpointError where the pickle in a zip imports more than tensors need.

    Raises CheckpointError where the archive is not torch's, or its numbers are not little-endian.
    """
    path = archive.path
    member = _only_pickle(path, archive.members)
    pickle = Pickle(member.name.partition("/")[0], bytes(archive.bytes_of(member)))
    scanned = _scan(BytesIO(pickle.content), path)
    _refuse(path, scanned.imports)
    _require_safe_protocol(path, scanned.protocol)
    order = archive.members.get(f"{pickle.folder}/byteorder")
    if order is not None and bytes(archive.bytes_of(order)[:8]) != b"little":
        raise CheckpointError(
            f"{path} was written on a big-endian machine. Save it again on a little-endian one.", path=path
        )
    return pickle


def _only_pickle(path: Path, members: Mapping[str, Member]) -> Member:
    if any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in members):
        raise _unsafe(path, ["TorchScript code"])
    pickles = [m for name, m in members.items() if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(
            f"{path} is a zip file, but not one that torch.save wrote, with one data.pkl: it holds {len(pickles)}. "
            "Unpack it if it only wraps a checkpoint.",
            path=path,
        )
    if pickles[0].size > PICKLE_LIMIT:
        raise CheckpointError(
            f"{path}: its pickle of {pickles[0].size} bytes is beyond what any checkpoint needs ({PICKLE_LIMIT}). "
            f"{_RE_SAVE}",
            path=path,
        )
    return pickles[0]


def _require_safe_protocol(path: Path, protocol: int) -> None:
    if protocol > SAFE_PROTOCOL:
        raise CheckpointError(
            f"{path} was saved with pickle protocol {protocol}, and no more than protocol {SAFE_PROTOCOL} can be read "
            f"safely. {_RE_SAVE}",
            path=path,
        )


class _Scanned(NamedTuple):
    """What a pickle imports, as module.name, in order of appearance; and the protocol that it announces or needs."""

    imports: list[str]
    protocol: int


class _Bounded:
    """`file`, whose reads ask for no more than there can be: a length in a pickle of 25 bytes may say terabytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.tell = file.tell
        self._file = file
        start = file.tell()
        self._end = min(file.seek(0, os.SEEK_END), start + PICKLE_LIMIT)
        file.seek(start)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._end - self.tell()))

    def readline(self) -> bytes:
        return self._file.readline(self._end - self.tell())


def _scan(file: IO[bytes], path: Path) -> _Scanned:
    """Read the next pickle in `file` to its end, without running it."""
    imports: list[str] = []
    protocol = 0
    try:
        strings: list[str] = []
        memo: list[str] = []
        pushed = ""
        argument: Any
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], _Bounded(file)))):
            match opcode.name:
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    _require_near(argument, count)
                case "PROTO":
                    protocol = max(protocol, argument)
                case "GLOBAL" | "INST":
                    imports.append(str(argument).replace(" ", "."))
                case "STACK_GLOBAL":
                    # Which two strings it takes, a scan can only guess (a POP hides them): the names are for the
                    # message, and the protocol that it needs, whatever the pickle announces, is refused.
                    protocol = max(protocol, 4)
                    imports.append(".".join(strings[-2:]))
                case "EXT1" | "EXT2" | "EXT4":
                    imports.append(f"copyreg extension {argument}")
                case "MEMOIZE":
                    memo.append(pushed)
                case "BINGET" | "LONG_BINGET":
                    strings.append(memo[argument] if argument < len(memo) else "")
                case _ if isinstance(argument, str):
                    strings.append(argument)
            pushed = argument if isinstance(argument, str) else ""
    except (ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path} is cut short or damaged: a pickle in it cannot be read to its end ({error}). Download it again.",
            path=path,
        ) from error
    return _Scanned(imports, protocol)


def _require_near(place: int, count: int) -> None:
    """Who runs the pickle makes room for as many things as it says that it remembers."""
    if place > count:
        raise ValueError(f"it remembers as number {place} what can be no more than number {count}")


def _refuse(path: Path, imports: list[str]) -> None:
    foreign = [name for name in dict.fromkeys(imports) if name not in IN_REACH]
    if foreign:
        raise _unsafe(path, foreign)


def _unsafe(path: Path, offending: list[str]) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f"{path} holds more than tensors and plain containers: {listed(list(map(shown, offending)), 8)}. To read "
        f"that is to run code from the file, so it was not read. {_RE_SAVE}",
        path=path,
        offending=offending,
    )


_RE_SAVE = (
    "Where you trust its author, load it with the program that wrote it and save the state dict alone: "
    "torch.save(model.state_dict(), 'weights.pth')."
)
