"""Puts confirmed values into a catalog file, a line each, and leaves every other line as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from depthhub.catalog import Catalog
from depthhub.errors import CatalogError
from depthhub.whole_file import whole_file

from .findings import Finding


def write_confirmed(path: Path, found: Iterable[Finding]) -> list[Finding]:
    """The findings that were written. Raises CatalogError where the file does not have a field a line."""
    confirmed = [finding for finding in found if finding.kind == "confirmed"]
    if not confirmed:
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for finding in confirmed:
        _put(lines, finding.name, finding.fields, path)
    text = "".join(lines).encode()
    with TemporaryDirectory() as folder:  # held against the schema before anything is replaced
        tried = Path(folder) / path.name
        tried.write_bytes(text)
        Catalog.load(tried)
    with whole_file(path, replace=True) as staged:
        staged.write(text)
    return confirmed


def _put(lines: list[str], name: str, fields: Mapping[str, str | int], path: Path) -> None:
    start = _line_of(lines, "name", 0, len(lines), value=json.dumps(name))
    if start is None:
        raise _other_form(name, path)
    after = start
    for field, value in fields.items():
        end = next((at for at in range(start, len(lines)) if lines[at].strip() in ("}", "},")), len(lines))
        at = _line_of(lines, field, start, end)
        if at is not None:
            lines[at] = re.sub(r":.*?(,?)$", rf": {json.dumps(value)}\1", lines[at])
            after = at
        elif lines[after].rstrip().endswith(","):
            indent = lines[after][: -len(lines[after].lstrip())]
            lines.insert(after + 1, f"{indent}{json.dumps(field)}: {json.dumps(value)},\n")
            after += 1
        else:
            raise _other_form(name, path)


def _line_of(lines: list[str], field: str, start: int, end: int, value: str = "") -> int | None:
    begin = f'"{field}": {value}'
    return next((at for at in range(start, end) if lines[at].strip().startswith(begin)), None)


def _other_form(name: str, path: Path) -> CatalogError:
    return CatalogError(
        f"{path} does not have each field of {name} on a line of its own; put the lines of the report into it by hand.",
        path=path,
        entry=name,
    )
