"""Original checkpoints that the user asked to keep: `<h2>/<sha256>/<file name>`, whole or absent like entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .identity import ContentHash, is_sha256
from .reading import children, may_be_a_file
from .verification import sha256_of


def kept_in(folder: Path) -> list[Path]:
    """The files in `folder`: one, but for what file managers and network file systems leave beside it."""
    return [path for path in children(folder) if may_be_a_file(path) and not path.name.startswith(".")]


def all_kept(checkpoints: Path) -> Iterator[tuple[ContentHash, Path]]:
    """Every kept original, by the sha256 that it was kept under."""
    for shelf in children(checkpoints):
        for folder in children(shelf):
            files = kept_in(folder)
            if files and is_sha256(folder.name) and shelf.name == folder.name[:2]:
                yield ContentHash(folder.name), files[0]


def problem(folder: Path, content_hash: str) -> str | None:
    """What is wrong with a kept original; None where one of its files is right. Raises OSError where it is hidden."""
    digests = {sha256_of(file): file.name for file in kept_in(folder)}
    if not digests or content_hash in digests:
        return None
    return " and ".join(f"{name} has sha256 {digest}" for digest, name in digests.items())
