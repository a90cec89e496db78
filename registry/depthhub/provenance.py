"""Where a model's weights came from: the typed view of an entry's record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from depthhub_cache.entry import Entry
from depthhub_cache.identity import ContentHash, Key, is_sha256
from depthhub_cache.record import Record

from .checkpoint.recipe import Recipe
from .errors import BrokenEntryError
from .hub_names import RepoType, file_path_problem, repo_id_problem, revision_problem


class Provenance(NamedTuple):
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
    def of(cls, entry: Entry) -> "Provenance":
        """Raises BrokenEntryError where the record lacks something, or says what cannot be.

        A record may have come with a bundle: it is believed no further than this. What it has besides is ignored.
        """
        try:
            made = _read(entry.record, entry.weights)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokenEntryError(
                f"The record of entry {entry.path} is damaged ({type(error).__name__}: {error}). "
                f"Remove it with `depthhub cache remove {entry.key[:12]}`; it is made again when it is needed.",
                path=entry.path,
            ) from error
        return made


def require_facts(record: Record) -> None:
    """Raises KeyError, TypeError, ValueError or AttributeError where `Provenance.of` would not believe a record."""
    _read(record, Path(record.weights))


_MOST_BYTES = 1 << 60


def _read(record: Record, path: Path) -> Provenance:
    about = record.about
    made = Provenance(
        source=_text(about, "source"),
        name=_text_or_none(about, "name"),
        repo_id=_text_or_none(about, "repo_id"),
        repo_type=_text_or_none(about, "repo_type"),
        filename=_text(about, "filename"),
        commit=_text_or_none(about, "commit"),
        content_hash=_digest(about, "content_hash"),
        checkpoint_bytes=_size(about, "checkpoint_bytes"),
        licence=_text_or_none(about, "licence"),
        recipe=Recipe.from_json(about["recipe"]),
        decisions=_texts(about, "decisions"),
        versions=_versions(about["versions"]),
        key=record.key,
        path=path,
        made_at=record.created_at,
    )
    _require_place(made)
    return made


def _require_place(made: Provenance) -> None:
    """Raises ValueError where names that lead to a repository are not such as the Hub has."""
    if made.repo_id is None:
        return
    if made.repo_type not in get_args(RepoType):
        raise ValueError(f"its repo_type is none of {', '.join(get_args(RepoType))}")
    commit_problem = None if made.commit is None else revision_problem(made.commit)
    if problem := repo_id_problem(made.repo_id) or file_path_problem(made.filename) or commit_problem:
        raise ValueError(problem)


def _text(about: Mapping[str, Any], name: str) -> str:
    text = about[name]
    if not isinstance(text, str):
        raise TypeError(f"its {name} is no text")
    return text


def _text_or_none(about: Mapping[str, Any], name: str) -> str | None:
    return None if about[name] is None else _text(about, name)


def _texts(about: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts = about[name]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"its {name} are no texts")
    return tuple(texts)


def _versions(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError("its versions are no object")
    return {name: _text(value, name) for name in value}


def _digest(about: Mapping[str, Any], name: str) -> ContentHash:
    if not is_sha256(about[name]):
        raise ValueError(f"its {name} is no sha256")
    return ContentHash(about[name])


def _size(about: Mapping[str, Any], name: str) -> int:
    size = about[name]
    if type(size) is not int or not 0 <= size <= _MOST_BYTES:
        raise ValueError(f"its {name} is no number of bytes")
    return size
