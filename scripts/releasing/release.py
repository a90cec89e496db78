"""One release: what it is called, where it is made, and where it will be."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from .checkout import Checkout
from .errors import ReleaseError

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")


class Release(NamedTuple):
    """repository: OWNER/REPOSITORY on `server`. out: the folder in which all of it is made.
    only: shell patterns; of the models, those whose names fit one.

    is_rehearsal: nothing is uploaded, and what is not ready yet is told, and stops nothing.
    """

    checkout: Checkout
    tag: str
    repository: str
    server: str
    out: Path
    only: tuple[str, ...]
    is_rehearsal: bool

    @property
    def time(self) -> str:
        """Of the commit, ISO 8601, UTC: what a release says of itself is the same whenever it is made."""
        return datetime.fromtimestamp(self.checkout.time, timezone.utc).isoformat(timespec="seconds")

    @property
    def remote(self) -> str:
        """Where the assets will be, and so the address of the remote store that they are."""
        return f"{self.server}/{self.repository}/releases/download/{self.tag}"

    @property
    def packages(self) -> Path:
        """The sdist and the wheel."""
        return self.out / "packages"

    @property
    def models(self) -> Path:
        """The remote store, and what else is uploaded of the models."""
        return self.out / "models"

    @property
    def work(self) -> Path:
        """A cache: what is downloaded and converted. Not uploaded."""
        return self.out / "work"

    @property
    def entries(self) -> Path:
        """A cache: the entries as they are released. Not uploaded as it is."""
        return self.out / "entries"

    @property
    def manifest(self) -> Path:
        return self.out / "manifest.json"

    @property
    def sums(self) -> Path:
        return self.out / "SHA256SUMS"

    @property
    def notes(self) -> Path:
        return self.out / "notes.md"


def require_repository(text: str) -> str:
    """Raises ReleaseError for what cannot be OWNER/REPOSITORY."""
    if not _REPOSITORY.fullmatch(text):
        raise ReleaseError(f"The repository is {text!r}: say OWNER/REPOSITORY with --repository or GITHUB_REPOSITORY.")
    return text
