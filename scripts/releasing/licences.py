"""The licence gate: which converted checkpoints we may hand on."""

from __future__ import annotations

from collections.abc import Iterator

from depthhub.catalog import Catalog, CatalogEntry
from depthhub.lockfile import LockedModel

from .errors import ReleaseError

REDISTRIBUTABLE = frozenset({"apache-2.0"})
"""As in SPDX. What is not in it is not uploaded.

apache-2.0 lets everybody hand on changed copies for any purpose, if its text, and a word on what was changed, go along;
they do. The non-commercial ones (cc-by-nc-4.0, cc-by-nc-sa-3.0) are left out: who downloads from a release may use it
for anything, and a release cannot ask. mit and the BSD ones ask for the authors' own copyright line, which the catalog
does not hold; one of them is added together with that line. An unknown licence allows nothing.
"""


def why_withheld(entry: CatalogEntry, catalog: Catalog) -> str | None:
    """Why a checkpoint is not released, in a sentence; None where it may be.

    Where several entries of the catalog state the same bytes, each of their licences must allow it.
    """
    sha256 = stated_sha256(entry)
    for other in (entry, *_same_bytes(sha256, catalog)):
        if other.licence not in REDISTRIBUTABLE:
            disputed = " (disputed; the strictest reading counts)" if other.licence_disputed else ""
            whose = "" if other.name == entry.name else f", as {other.name}, which has the same bytes"
            return f"Its licence is {other.licence or 'not known'}{disputed}{whose}."
    if sha256 is None:
        return "The catalog does not state its sha256, so nobody has said which bytes would be uploaded."
    return None


def require_redistributable(model: LockedModel, catalog: Catalog) -> None:
    """Raises ReleaseError where a locked model may not be uploaded, or is not the one that the catalog means."""
    if model.name is None or model.name not in catalog:
        raise ReleaseError(f"{model.source} is not in the catalog, so nobody has said that it may be redistributed.")
    entry = catalog.find(model.name)
    if model.licence not in REDISTRIBUTABLE:
        raise ReleaseError(f"{model.source} must not be uploaded. Its licence is {model.licence or 'not known'}.")
    if reason := why_withheld(entry, catalog):
        raise ReleaseError(f"{model.source} must not be uploaded. {reason}")
    if model.sha256 != stated_sha256(entry):
        raise ReleaseError(
            f"{model.source} was made of a checkpoint with sha256 {model.sha256}, and the catalog states "
            f"{stated_sha256(entry)}. Find out which is right, and mend the catalog."
        )


def stated_sha256(entry: CatalogEntry) -> str | None:
    """Of the checkpoint: pinned, or stated by one source."""
    return entry.sha256 or entry.sha256_hint


def _same_bytes(sha256: str | None, catalog: Catalog) -> Iterator[CatalogEntry]:
    return (entry for entry in catalog if sha256 is not None and stated_sha256(entry) == sha256)
