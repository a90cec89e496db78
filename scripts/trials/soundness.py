"""What must hold of a cache at any instant, and after a sweep. Each check gives back what is wrong, in sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from depthhub_cache.errors import DepthHubError
from depthhub_cache.identity import Key
from depthhub_cache.refs import all_refs
from depthhub_cache.store import Store


def unsound(store: Store, *, expected: Mapping[Key, str] | None = None) -> Iterator[str]:
    """What is visible and not whole: an entry, a ref, a kept original. It reads every byte.

    expected: sha256 of the weights of entries; the bytes of those, if they are there, must be these.
    """
    for key in list(store.keys()):
        wrong = _wrong_with(store, key, expected or {})
        if wrong is not None and key in set(store.keys()):  # else a collection has just taken it
            yield f"entry {key}: {wrong}"
    yield from _nameless_entries(store)
    yield from _broken_refs(store)
    for content_hash, path in store.kept_checkpoints():
        if sha256_of(path) != content_hash:
            yield f"the kept original {content_hash} has other bytes"


def rubbish(store: Store) -> Iterator[str]:
    """What no living process needs: to be asked after a sweep, when no process works in the cache any more."""
    for area in ("tmp", "leases"):
        for path in files_and_folders(store.root / "v1" / area):
            if area == "tmp" or path.is_file():
                yield f"{path.relative_to(store.root)} is left"
    for path in (store.root / "v1" / "locks").glob("*.holder"):
        yield f"{path.relative_to(store.root)} names a process that has ended"


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_and_folders(folder: Path) -> list[Path]:
    """All that is below; nothing where there is no such folder."""
    return sorted(folder.rglob("*"))


def _wrong_with(store: Store, key: Key, expected: Mapping[Key, str]) -> str | None:
    try:
        store.verify(key, deep=True)
        entry = store.get(key)
        if entry is None:
            return "it is there and is not whole"
        if key in expected and sha256_of(entry.weights) != expected[key]:
            return "it has other bytes than the conversion makes"
    except (DepthHubError, FileNotFoundError) as error:
        return str(error)
    return None


def _nameless_entries(store: Store) -> Iterator[str]:
    """Something among the entries that `keys` does not name would never be seen, nor removed."""
    there = list((store.root / "v1" / "entries").glob("*/*"))
    known = set(store.keys())
    for path in there:
        if path.name not in known and path.exists():  # else a collection has just taken it
            yield f"{path.relative_to(store.root)} is among the entries and is none"


def _broken_refs(store: Store) -> Iterator[str]:
    folder = store.root / "v1" / "refs"
    files = [path for path in folder.rglob("*") if path.is_file()]
    whole = sum(1 for _ in all_refs(folder))
    if whole < len(files):  # a process at work may add some meanwhile
        yield f"{len(files)} refs are there, and {whole} of them are whole"
