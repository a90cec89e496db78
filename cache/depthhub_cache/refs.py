"""Refs: remembered answers, one small file each, that are believed only where they are whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .reading import children, read_file
from .sealed import seal, unseal

_SCHEMA = 1
_LIMIT = 1 << 20
_LOST = ".lost"


def ref_path(folder: Path, name: str) -> Path:
    """Where the ref `name` is kept: names may be of any length and hold any character."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return folder / digest[:2] / f"{digest}.json"


def ref_bytes(name: str, data: Mapping[str, object]) -> bytes:
    """Raises TypeError or ValueError where `data` is not plain JSON, or larger than would be read back."""
    text = seal({"schema": _SCHEMA, "name": name, "data": dict(data)})
    if len(text) > _LIMIT:
        raise ValueError(f"a ref of {len(text):,} bytes is larger than the {_LIMIT:,} that are read back")
    return text


def read_ref(folder: Path, name: str) -> Mapping[str, Any] | None:
    """What was remembered under `name`; None where that is nothing, or nothing whole."""
    try:
        found = _read(ref_path(folder, name))
    except (OSError, ValueError):
        return None
    return found[1] if found[0] == name else None


def all_refs(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every ref that is whole and lies where its name says, in the order of their files."""
    for path in ref_files(folder):
        with suppress(OSError, ValueError):
            name, data = _read(path)
            if ref_path(folder, name) == path:
                yield name, data


def ref_files(folder: Path) -> list[Path]:
    """Where refs lie, whole or not; nowhere where that is hidden."""
    return [path for shelf in children(folder) for path in children(shelf) if path.suffix == ".json"]


def lost_path(ref: Path) -> Path:
    """An empty file of this name tells that the answer in `ref` was damaged and set aside.

    What a tier below or a bundle says may be older: it is no better than before.
    """
    return ref.with_suffix(_LOST)


def lost_markers(folder: Path) -> list[Path]:
    """Where answers were lost."""
    return [path for shelf in children(folder) for path in children(shelf) if path.suffix == _LOST]


def ref_problem(path: Path, stem: str) -> str | None:
    """What is wrong with `path` as the ref whose file is called `stem`; None where it is whole, or hidden from us."""
    try:
        name, _ = _read(path)
    except ValueError as error:
        return str(error)
    except OSError:
        return None
    return None if ref_path(path, name).stem == stem else f"it is that of {name}"


def parse_ref(data: bytes) -> tuple[str, Mapping[str, Any]]:
    """Name and data of a ref. Raises ValueError, saying what is wrong, for anything but the bytes of one."""
    facts = unseal(data, limit=_LIMIT)
    name, remembered = facts.get("name"), facts.get("data")
    if facts.get("schema") != _SCHEMA or not isinstance(name, str) or not isinstance(remembered, dict):
        raise ValueError("it is no ref of this version")
    return name, remembered


def _read(path: Path) -> tuple[str, Mapping[str, Any]]:
    return parse_ref(read_file(path, _LIMIT))
