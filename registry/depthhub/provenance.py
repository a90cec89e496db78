"""Where a model's weights came from: the typed view of an entry's record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depthhub_cache.identity import ContentHash, Key

from .checkpoint.recipe import Recipe

if TYPE_CHECKING:
    from depthhub_cache.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the weights came from, as written when they were converted.

    source: what was asked for then; name: in the catalog. repo_id, repo_type, filename, commit: on the Hub (None
    for a local file). content_hash: sha256 of the checkpoint. licence: of the weights, None where not known.
    decisions: what was peeled off the file, in words. key, path: the entry. made_at: ISO 8601, UTC.
    """

    source: str
    name: str | None
    repo_id: str | None
    repo_type: str | None
    filename: str
    commit: str | None
    content_hash: ContentHash
    checkpoint_bytes: int
    licence: str | None
    recipe: Recipe
    decisions: tuple[str, ...]
    versions: dict[str, str]
    key: Key
    path: Path
    made_at: str

    @classmethod
    def of(cls, entry: Entry) -> Provenance:
        about = dict(entry.record.about)
        about["recipe"] = Recipe.from_json(about["recipe"])
        about["decisions"] = tuple(about["decisions"])
        return cls(**about, key=entry.key, path=entry.weights, made_at=entry.record.created_at)
