"""What can be damaged beside the entries of a cache: remembered answers and kept checkpoints. And what is hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BrokenEntryError, CacheError

if TYPE_CHECKING:
    from depthhub_cache.store import Store

Still = Callable[[Path], object]
"""Whether what was found broken, and is somewhere else now, is so still: another process may have mended it."""


class Damage(NamedTuple):
    """what: the kind of thing. error: a BrokenEntryError, or a CacheError where it cannot be read."""

    what: str
    error: CacheError
    still: Still = bool


def hidden_entries(store: Store) -> Iterator[CacheError]:
    """An error for each folder, in every tier, whose entries nobody can name."""
    from depthhub_cache.hidden import hidden_folders

    for tier in store.tiers:
        yield from hidden_folders(tier.folder("entries"), levels=1)


def damaged_refs(store: Store) -> Iterator[Damage]:
    """Of the writable tier. A damaged one costs a question to the Hub, or another reading of a file."""
    from depthhub_cache import hidden, refs

    what, folder = "The remembered answer", store.tiers[0].folder("refs")
    for error in (*hidden.hidden_folders(folder, levels=1), *hidden.hidden_files(refs.ref_files(folder))):
        yield Damage(what, error)
    for path, problem in store.broken_refs():
        yield Damage(what, _broken(what, path, problem), partial(refs.ref_problem, stem=path.stem))


def damaged_originals(store: Store) -> Iterator[Damage]:
    """Of the writable tier; reads every byte. A damaged one costs a download."""
    from depthhub_cache import hidden
    from depthhub_cache.identity import is_sha256
    from depthhub_cache.reading import children

    what, checkpoints = "The kept checkpoint", store.tiers[0].folder("checkpoints")
    for error in hidden.hidden_folders(checkpoints, levels=2):
        yield Damage(what, error)
    for folder in (folder for shelf in children(checkpoints) for folder in children(shelf) if is_sha256(folder.name)):
        if damage := _error_of_original(what, folder):
            yield Damage(what, damage, partial(_is_damaged, content_hash=folder.name))


def _error_of_original(what: str, folder: Path) -> CacheError | None:
    from depthhub_cache.entry import unreadable
    from depthhub_cache.kept import problem

    try:
        found = problem(folder, folder.name)
    except (FileNotFoundError, ValueError):  # changed since it was listed
        return None
    except OSError as error:
        return unreadable(folder, error)
    return None if found is None else _broken(what, folder, found)


def _is_damaged(folder: Path, content_hash: str) -> bool:
    from depthhub_cache.kept import problem

    try:
        return problem(folder, content_hash) is not None
    except (OSError, ValueError):
        return False


def _broken(what: str, path: Path, problem: str) -> BrokenEntryError:
    return BrokenEntryError(f"{what} {path} is broken: {problem}.", path=path)
