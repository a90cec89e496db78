"""Refs: remembered answers, one small file each, that are believed only where they are whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .sealed import seal, unseal

_SCHEMA = 1
_LIMIT = 1 << 20


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
            yield _read_placed(folder, path)


def ref_files(folder: Path) -> list[Path]:
    """Where refs lie, whole or not."""
    return sorted(folder.glob("*/*.json"))


def check_ref(folder: Path, path: Path) -> None:
    """Raises ValueError, saying what is wrong, or OSError, unless `path` is a whole ref in its place."""
    _read_placed(folder, path)


def parse_ref(data: bytes) -> tuple[str, Mapping[str, Any]]:
    """Name and data of a ref. Raises ValueError, saying what is wrong, for anything but the bytes of one."""
    facts = unseal(data, limit=_LIMIT)
    name, remembered = facts.get("name"), facts.get("data")
    if facts.get("schema") != _SCHEMA or not isinstance(name, str) or not isinstance(remembered, dict):
        raise ValueError("it is no ref of this version")
    return name, remembered


def _read_placed(folder: Path, path: Path) -> tuple[str, Mapping[str, Any]]:
    found = _read(path)
    if ref_path(folder, found[0]) != path:
        raise ValueError(f"it is that of {found[0]}")
    return found


def _read(path: Path) -> tuple[str, Mapping[str, Any]]:
    with path.open("rb") as file:
        return parse_ref(file.read(_LIMIT + 1))
