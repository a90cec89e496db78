"""Files that become assets of a release, and what GitHub takes as one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .errors import ReleaseError

SIZE_LIMIT = (2 << 30) - 1
"""Bytes of one asset: it must be smaller than 2 GiB."""

COUNT_LIMIT = 1000
"""Assets of one release."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_-])?")
"""GitHub gives another name to a file that is called otherwise; then nobody finds it."""

_CHUNK = 4 << 20


class Asset(NamedTuple):
    """A file under the name that it has in the release. size: bytes."""

    name: str
    size: int
    sha256: str
    path: Path

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "size": self.size, "sha256": self.sha256}


def asset_of(path: Path) -> Asset:
    """Every byte is read. Raises ReleaseError where it cannot be an asset."""
    if not _NAME.fullmatch(path.name):
        raise ReleaseError(f"{path.name!r} cannot be the name of an asset: letters, digits and . _ - are taken.")
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    if not 0 < size <= SIZE_LIMIT:
        raise ReleaseError(f"{path.name} has {size:,} bytes; an asset has 1 to {SIZE_LIMIT:,}.")
    return Asset(path.name, size, digest.hexdigest(), path)


def require_together(assets: Iterable[Asset]) -> tuple[Asset, ...]:
    """In the order of their names. Raises ReleaseError where they cannot be in one release."""
    ordered = tuple(sorted(assets))
    if len(ordered) > COUNT_LIMIT:
        raise ReleaseError(f"{len(ordered):,} assets are more than the {COUNT_LIMIT:,} that a release can have.")
    lower = [asset.name.lower() for asset in ordered]
    if twice := sorted({name for name in lower if lower.count(name) > 1}):
        raise ReleaseError(f"Two assets are called {twice[0]}.")
    return ordered


def require_only(folder: Path, expected: Iterable[str]) -> None:
    """Raises ReleaseError where `folder` has not exactly the files that are `expected`."""
    names, found = set(expected), {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if missing := sorted(names - found):
        raise ReleaseError(f"{folder} lacks {', '.join(missing)}. Run the step that makes it.")
    if extra := sorted(found - names):
        raise ReleaseError(
            f"{folder} holds what no step has made: {', '.join(extra)}. Remove it, and look whence it is."
        )


def sums_text(assets: Iterable[Asset]) -> str:
    """As `sha256sum` writes and `sha256sum --check` reads it."""
    return "".join(f"{asset.sha256}  {asset.name}\n" for asset in assets)


def parse_sums(text: str) -> Mapping[str, str]:
    """Name -> sha256. Raises ReleaseError for anything but what `sums_text` writes."""
    lines = [re.fullmatch(rf"([0-9a-f]{{64}})  ({_NAME.pattern})", line) for line in text.splitlines()]
    sums = {line[2]: line[1] for line in lines if line}
    if not lines or len(sums) != len(lines):
        raise ReleaseError("SHA256SUMS is damaged. Run `scripts/release manifest` again.")
    return sums
