"""Entries of the cache that a person names: by source, or by the beginning of a key. Nothing here uses the network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..checkpoint.recipe import Recipe
from ..errors import FamilyError, NotFoundError, OfflineError, UnknownModelError
from ..hub_names import RepoType, repo_id_problem
from .beside import hidden_entries
from .errors import UsageError
from .exit_codes import ExitCode, common_exit_code

if TYPE_CHECKING:
    from depthhub_cache.entry import Entry
    from depthhub_cache.identity import Key
    from depthhub_cache.record import Record
    from depthhub_cache.store import Store

    from .console import Console

_KEY_START = re.compile(r"[0-9a-f]{8,64}")


def key_of_source(source: str, store: Store, **options: Any) -> Key:
    """The key of an entry that is in the cache, whole or broken.

    Raises NotFoundError where there is none, CacheError where it may be hidden from us, FamilyError where nothing tells
    which of several it would be.
    """
    from ..resolution import resolve_here

    try:
        resolution = resolve_here(source, **options)
    except OfflineError as error:  # only the Hub can tell
        raise not_in_cache(source) from error
    if resolution.undecided:
        raise FamilyError(resolution.undecided, source=source)
    if resolution.key is None:
        raise not_in_cache(source)
    if resolution.key not in set(store.keys()):
        _require_none_hidden(store, resolution.key)
        raise not_in_cache(source)
    return resolution.key


def key_of_text(text: str, store: Store, *, beside: Iterable[Key] = (), **options: Any) -> Key:
    """The key that begins with `text` (8 hex digits or more), else that of the source `text`.

    beside: keys that may be meant though no entry has them.
    """
    if not _KEY_START.fullmatch(text):
        try:
            return key_of_source(text, store, **options)
        except UnknownModelError as error:
            if any(key.startswith(text) for key in {*store.keys(), *beside}):
                raise UsageError(f"{text} is too short for a key: write 8 digits of it or more.") from error
            raise
    found = sorted(key for key in {*store.keys(), *beside} if key.startswith(text))
    if not found:
        _require_none_hidden(store, text)
        raise NotFoundError(f"No key in the cache begins with {text}; see `depthhub cache list`.", source=text)
    if len(found) > 1:
        raise UsageError(f"{len(found)} keys begin with {text}; write more of it.")
    return found[0]


def _require_none_hidden(store: Store, key_start: str) -> None:
    """Raises CacheError where the system hides the folder that entries with such keys lie in."""
    for error in hidden_entries(store):
        if error.path.name in (key_start[:2], "entries"):
            raise error


def not_in_cache(source: str) -> NotFoundError:
    return NotFoundError(
        f"{source} is not in the cache. `depthhub pull {source}`, with the same options, puts it there.",
        source=source,
    )


def name_of(entry: Entry) -> str:
    """What a person calls an entry: its name in the catalog, else the source it was made from."""
    return _name_in(entry.record) or "-"


def name_of_broken(folder: Path) -> str | None:
    """The same of an entry that is broken elsewhere than in its record; None where that is."""
    from depthhub_cache import record
    from depthhub_cache.reading import read_file

    try:
        return _name_in(record.Record.parse(read_file(folder / record.FILE_NAME, record.LIMIT)))
    except (OSError, ValueError):
        return None


def fact_of(entry: Entry, name: str) -> str | None:
    """The text that the record has under `name`; None where there is none. It may have come with a bundle."""
    return _fact_in(entry.record, name)


def _fact_in(record: Record, name: str) -> str | None:
    value = record.about.get(name)
    return value if isinstance(value, str) else None


def _name_in(record: Record) -> str | None:
    return _fact_in(record, "name") or _fact_in(record, "source")


def recipe_of(entry: Entry) -> Recipe | None:
    """How the entry was made; None where its record does not say."""
    try:
        return Recipe.from_json(entry.record.about["recipe"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def repository_of(entry: Entry) -> tuple[str, str] | None:
    """Type and id of the repository that the entry was made from; None where it was a file, or no such name can be."""
    kind, repo_id = fact_of(entry, "repo_type") or "model", fact_of(entry, "repo_id")
    if repo_id is None or kind not in get_args(RepoType) or repo_id_problem(repo_id):
        return None
    return kind, repo_id


def require_visible(store: Store) -> None:
    """Raises CacheError where the entries are hidden from us: of those nobody can say what they are."""
    from depthhub_cache.entry import unreadable

    entries = store.tiers[0].folder("entries")
    try:
        if os.path.lexists(store.root):
            os.scandir(store.root).close()
            os.scandir(entries).close()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unreadable(entries, error) from error


def require_all_visible(store: Store) -> None:
    """Raises CacheError where entries of any tier are hidden from us."""
    for error in hidden_entries(store):
        raise error


def report_hidden(store: Store, console: Console) -> ExitCode:
    """Say which folders of entries nobody can look into here, so that what is shown is not taken for all there is."""
    return common_exit_code([console.failure(error) for error in hidden_entries(store)])
