"""Data for stdout: a table, a list of facts, or one JSON document. Nothing in a table or a fact moves the terminal."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model.config import Build

Cell = str | int | float | os.PathLike[str] | None
"""A path is shown as `path_text` does it, any other text, which may come from anywhere, as `printable`."""


def write_json(value: object) -> None:
    """One JSON document, indented. Everything that `to_json` knows, at any depth."""
    print(json.dumps(to_json(value), indent=2, allow_nan=False))


def to_json(value: object) -> Any:
    """Plain JSON for dataclasses and named tuples (by field), mappings, sequences and paths; others are refused."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: to_json(item) for name, item in zip(value._fields, value, strict=True)}
    if isinstance(value, Mapping):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray):
        return [to_json(item) for item in value]
    raise TypeError(f"no JSON for {type(value).__name__}")


def write_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Columns under a header; nothing at all where there are no rows."""
    body = [["-" if cell is None else _text(cell) for cell in row] for row in rows]
    if not body:
        return
    lines = [list(header), *body]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def write_facts(facts: Mapping[str, Cell]) -> None:
    """One `name  value` a line; what is None is left out."""
    known = {printable(name): _text(value) for name, value in facts.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        print(f"{name.ljust(width)}  {value}")


def printable(text: str) -> str:
    """`text` with everything escaped that has no shape of its own: a terminal would obey some of it."""
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def path_text(path: str | os.PathLike[str]) -> str:
    """A path, printable; a byte in it that is no text stays that byte, so that what is shown names the file."""
    return "".join(one if one.isprintable() or _is_byte(one) else _escaped(one) for one in os.fspath(path))


def counted(count: int, noun: str) -> str:
    """`1 answer`, `2 answers`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def bytes_text(count: int | None) -> str | None:
    """`1.34 GB`: decimal units, as file managers and the Hub count."""
    if count is None:
        return None
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def build_text(build: Build | None) -> str:
    """How to build a model, in words."""
    if build is None:
        return "not known; say --family"
    return build.family if build.max_depth is None else f"{build.family}, up to {build.max_depth:g} m"


def age_text(moment: str) -> str:
    """How long ago an ISO 8601 moment was, in the largest unit that fits: `3 days ago`."""
    try:
        then = datetime.fromisoformat(moment.removesuffix("Z") + ("+00:00" if moment.endswith("Z") else ""))
    except ValueError:
        return "at a time that is not known"
    if then.tzinfo is None:
        then = then.replace(tzinfo=timezone.utc)
    seconds = (datetime.now(timezone.utc) - then).total_seconds()
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count >= 1:
            return f"{counted(count, unit)} ago"
    return "just now"


def _text(cell: Cell) -> str:
    return path_text(cell) if isinstance(cell, os.PathLike) else printable(str(cell))


def _is_byte(one: str) -> bool:
    """Whether this is what Python makes of a byte that is no text, in the names of files."""
    return "\udc80" <= one <= "\udcff"


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
