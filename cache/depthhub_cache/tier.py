"""One root of a cache: where everything lies in it, and how it is read. Nothing here writes or takes a lock."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import refs
from .entry import Entry, read_entry
from .errors import BrokenEntryError
from .identity import ContentHash, Key, is_sha256
from .reading import children

log = logging.getLogger("depthhub_cache")


class Tier(NamedTuple):
    """A root.

    <root>/CACHEDIR.TAG, README
    <root>/v1/entries/ab/<key>/weights.safetensors, entry.json
    <root>/v1/refs/ab/<sha256 of the name>.json
    <root>/v1/checkpoints/ab/<sha256>/<file name>
    <root>/v1/locks/<key>.lock, <key>.holder
    <root>/v1/leases/<key>.<host>-<pid>-<start>-<random>
    <root>/v1/used/<key>, pins/<key>
    <root>/v1/quarantine/<name>-<random>/, <name>-<random>.<host>-<pid>-<start>-<random>/
    <root>/v1/tmp/<host>-<pid>-<start>-<random>/
    """

    root: Path

    def folder(self, area: str) -> Path:
        """Where the things of one kind are: `entries`, `refs`, ..."""
        return self.root / "v1" / area

    def entry_folder(self, key: Key) -> Path:
        return self.folder("entries") / checked(key)[:2] / key

    def original_folder(self, content_hash: ContentHash) -> Path:
        return self.folder("checkpoints") / checked(content_hash)[:2] / content_hash

    def get(self, key: Key) -> Entry | None:
        """The entry after the quick check; None where it is missing or broken. Raises CacheError if it is hidden."""
        try:
            return read_entry(self.entry_folder(key), key)
        except BrokenEntryError as error:
            log.warning("%s", error)
            return None

    def keys(self) -> Iterator[Key]:
        """The names of all that lies among the entries, broken ones too, in order; nothing where that is hidden."""
        for shelf in children(self.folder("entries")):
            names = [path.name for path in children(shelf)]
            yield from (Key(name) for name in names if is_sha256(name) and shelf.name == name[:2])

    def recall(self, name: str) -> Mapping[str, Any] | None:
        """What was remembered under `name`; None where that is nothing, or damaged, or hidden from us."""
        return refs.read_ref(self.folder("refs"), name)

    def refs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every remembered name with its data."""
        return refs.all_refs(self.folder("refs"))

    def kept(self, content_hash: ContentHash) -> list[Path]:
        """A kept original, unchecked; and what others may have put beside it."""
        from .kept import kept_in

        return kept_in(self.original_folder(content_hash))

    def kept_checkpoints(self) -> Iterator[tuple[ContentHash, Path]]:
        """Every kept original."""
        from .kept import all_kept

        return all_kept(self.folder("checkpoints"))


def checked(text: str) -> str:
    """`text`, a sha256; ValueError for anything else, which might lead out of the cache."""
    if not is_sha256(text):
        raise ValueError(f"{text!r} is not a sha256: 64 lower-case hex digits")
    return text
