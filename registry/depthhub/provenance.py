"""Where a model's weights came from: the typed view of an entry's record."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthhub_cache.identity import ContentHash, Key

from .checkpoint.recipe import Recipe
from .errors import BrokenEntryError

if TYPE_CHECKING:
    from depthhub_cache.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the weights came from.

    source: what was asked for; name: in the catalog. repo_id, repo_type, filename, commit: on the Hub (None
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
        """Raises BrokenEntryError where the record lacks something; what it has besides is ignored."""
        about = entry.record.about
        found: dict[str, Any] = {"key": entry.key, "path": entry.weights, "made_at": entry.record.created_at}
        try:
            found |= {field.name: about[field.name] for field in fields(cls) if field.name not in found}
            found["recipe"] = Recipe.from_json(found["recipe"])
            found["decisions"] = tuple(found["decisions"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokenEntryError(
                f"The record of entry {entry.path} is damaged ({type(error).__name__}: {error}). "
                f"Remove it with `depthhub cache remove {entry.key[:12]}`; it is made again when it is needed.",
                path=entry.path,
            ) from error
        return cls(**found)
