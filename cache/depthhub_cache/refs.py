"""Refs: remembered answers, one small file each, that are believed only where they are whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .json_object import parse_object

_SCHEMA = 1
_LIMIT = 1 << 20


def ref_path(folder: Path, name: str) -> Path:
    """Where the ref `name` is kept: names may be of any length and hold any character."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return folder / digest[:2] / f"{digest}.json"


def ref_bytes(name: str, data: Mapping[str, object]) -> bytes:
    """Raises TypeError or ValueError where `data` is not plain JSON, or larger than would be read back."""
    text = json.dumps({"schema": _SCHEMA, "name": name, "data": dict(data)}, indent=2, allow_nan=False)
    if len(text) >= _LIMIT:
        raise ValueError(f"a ref of {len(text):,} bytes is larger than the {_LIMIT:,} that are read back")
    return text.encode("ascii") + b"\n"


def read_ref(folder: Path, name: str) -> Mapping[str, Any] | None:
    """What was remembered under `name`; None where that is nothing, or nothing readable."""
    found = _read(ref_path(folder, name))
    return found[1] if found is not None and found[0] == name else None


def all_refs(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every ref that is whole and lies where its name says, in the order of their files."""
    for path in sorted(folder.glob("*/*.json")):
        found = _read(path)
        if found is not None and ref_path(folder, found[0]) == path:
            yield found


def _read(path: Path) -> tuple[str, Mapping[str, Any]] | None:
    try:
        with path.open("rb") as file:
            facts = parse_object(file.read(_LIMIT + 1), limit=_LIMIT)
    except (OSError, ValueError):
        return None
    name, data = facts.get("name"), facts.get("data")
    if facts.get("schema") != _SCHEMA or not isinstance(name, str) or not isinstance(data, dict):
        return None
    return name, data
