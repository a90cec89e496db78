"""The store: entries of converted weights by key, refs, kept originals, and the work under way.

    <root>/CACHEDIR.TAG, README
    <root>/v1/entries/ab/<key>/weights.safetensors, entry.json
    <root>/v1/refs/ab/<sha256 of the name>.json
    <root>/v1/checkpoints/ab/<sha256>/<file name>
    <root>/v1/locks/<key>.lock, <key>.holder
    <root>/v1/tmp/<host>-<pid>-<start>-<random>/

This file says what can be done with it; how each thing is done is in the files beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import kept, label, locks, record
from .abandoned import abandoned_directories
from .entry import Entry, read_entry
from .errors import BrokenEntryError, CacheError, CacheNotWritableError
from .identity import ContentHash, Key, is_file_name, is_sha256
from .record import Record
from .refs import all_refs, read_ref, ref_bytes, ref_path
from .staging import Staging, delete_tree, exchange_folder, publish_folder, remove_file, take_away
from .usage import Usage, measure
from .verification import verify_entry

log = logging.getLogger("depthhub_cache")

_ATTEMPTS = 5


class Store:
    """A content-addressed store of weights under `root`, shared by any number of processes.

    Entries are immutable, and whole or absent at every instant. Reading takes no lock and writes nothing.
    lock_timeout: longest wait for another process that makes the same entry, in seconds.
    A write that is needed and impossible is a CacheNotWritableError; reading what the system hides is a CacheError.
    """

    def __init__(self, root: Path, *, lock_timeout: float = 300.0) -> None:
        self.root = root
        self._lock_timeout = lock_timeout
        self._entries, self._refs, self._locks, self._tmp, self._checkpoints = (
            root / "v1" / name for name in ("entries", "refs", "locks", "tmp", "checkpoints")
        )

    # entries

    def get(self, key: Key) -> Entry | None:
        """The entry, after a check that costs nothing; None where it is missing or broken, and must be made."""
        try:
            return read_entry(self._folder_of(key), key)
        except BrokenEntryError as error:
            log.warning("%s", error)
            return None

    def keys(self) -> Iterator[Key]:
        """The names of all that lies among the entries, broken ones too, in order."""
        for path in sorted(self._entries.glob("*/*")):
            if is_sha256(path.name) and path.parent.name == path.name[:2]:
                yield Key(path.name)

    def entries(self) -> Iterator[Entry]:
        """The entries that `get` gives, in the order of their keys."""
        return (entry for key in self.keys() if (entry := self.get(key)))

    def lock(self, key: Key, *, on_wait: Callable[[str], None] | None = None) -> AbstractContextManager[bool]:
        """Hold the lock of `key` while its entry is made, so that others wait for it instead of making it too.

        The context's value says whether it is held: after `lock_timeout`, or where locks do not work, it goes on
        without. on_wait: told in a sentence, after two seconds, who holds it.
        """
        path = self._locks / f"{_checked(key)}.lock"
        return locks.hold(path, tmp=self._tmp, timeout=self._lock_timeout, on_wait=on_wait)

    @contextmanager
    def stage(self) -> Iterator[Staging]:
        """A directory of one's own to write files in before they are published; it is gone after the context."""
        with Staging(self._tmp) as staging:
            with suppress(CacheNotWritableError):  # what is wrong will show in what was asked for
                label.put(self.root, staging)
            yield staging

    def publish(
        self, key: Key, staging: Staging, *, weights: str = "weights.safetensors", about: Mapping[str, object]
    ) -> Entry:
        """Publish the finished file `weights` of `staging` as the entry `key`, with what `about` says of it.

        Whoever comes second adopts the entry that is there, unless that is broken: then it is replaced.
        Nothing else of `staging` is published.
        """
        staged = staging.finished(weights)
        folder = self._folder_of(key)
        data = Record(
            schema=record.SCHEMA,
            key=key,
            weights=weights,
            weights_sha256=staged.sha256(),
            weights_size=staged.size,
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            about=about,
        ).to_bytes()
        made = Record.parse(data)
        gathered = staging.gather(
            "entry", {weights: staged.path, record.FILE_NAME: staging.add(record.FILE_NAME, data)}
        )
        for _ in range(_ATTEMPTS):
            if publish_folder(gathered, folder):
                return Entry(key, folder, folder / weights, made)
            there = self.get(key)
            if there is not None:
                return _adopted(there, made)
            if exchange_folder(gathered, folder):
                log.warning("replaced the broken entry %s", folder)
                return Entry(key, folder, folder / weights, made)
            self._set_aside(key)
        raise CacheError(f"Could not publish {folder}: other processes keep changing it. Try again.", path=folder)

    def remove(self, key: Key) -> int:
        """Remove an entry, whole or broken; bytes freed, 0 where there was none. Who has it open keeps it."""
        taken = take_away(self._folder_of(key), self._tmp)
        return delete_tree(taken) if taken is not None else 0

    def verify(self, entry: Entry | Key, *, deep: bool) -> None:
        """Raises BrokenEntryError that names what is wrong: quick by record, sizes and header, deep by every byte."""
        key = entry.key if isinstance(entry, Entry) else entry
        verify_entry(self._folder_of(key), key, deep=deep)

    # refs

    def recall(self, name: str) -> Mapping[str, Any] | None:
        """What was remembered under `name`; None where that is nothing, or damaged, or hidden from us."""
        return read_ref(self._refs, name)

    def remember(self, name: str, data: Mapping[str, object]) -> None:
        """Remember plain JSON `data` under `name`, in place of what was remembered before."""
        content = ref_bytes(name, data)
        target = ref_path(self._refs, name)
        with self.stage() as staging:
            staging.add(target.name, content)
            staging.place(target.name, target)

    def forget(self, name: str) -> None:
        """Remember nothing under `name`."""
        remove_file(ref_path(self._refs, name))

    def refs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every remembered name with its data."""
        return all_refs(self._refs)

    # originals

    def keep(self, staged_path: Path, content_hash: ContentHash, *, filename: str | None = None) -> Path:
        """Move a finished staged file, whose sha256 the caller has verified, among the kept originals; its new path.

        filename: its name there, if not the one it has.
        """
        folder = self._original(content_hash)
        with self.stage() as staging:
            return kept.keep(folder, staged_path, content_hash, filename=filename or staged_path.name, staging=staging)

    def kept(self, content_hash: ContentHash) -> Path | None:
        """A kept original. Its bytes are not checked: whoever parses them checks them first."""
        return kept.kept_in(self._original(content_hash))

    def kept_checkpoints(self) -> Iterator[tuple[ContentHash, Path]]:
        """Every kept original."""
        return kept.all_kept(self._checkpoints)

    # work under way, and what became of it

    def abandoned(self, name: str) -> Iterator[Path]:
        """Files `name` in staging directories whose owner is surely gone. They may vanish at any time."""
        if not is_file_name(name):
            raise ValueError(f"{name!r} is not a plain file name")
        for directory in abandoned_directories(self._tmp):
            if (directory / name).is_file():
                yield directory / name

    def sweep(self) -> int:
        """Remove staging directories whose owner is surely gone; bytes freed."""
        return sum(delete_tree(directory) for directory in abandoned_directories(self._tmp))

    def usage(self) -> Usage:
        """What the parts of the cache take of the disk, and what is free. Reads the whole cache."""
        return measure(
            root=self.root, entries=self._entries, refs=self._refs, checkpoints=self._checkpoints, tmp=self._tmp
        )

    def _folder_of(self, key: Key) -> Path:
        return self._entries / _checked(key)[:2] / key

    def _original(self, content_hash: ContentHash) -> Path:
        return self._checkpoints / _checked(content_hash)[:2] / content_hash

    def _set_aside(self, key: Key) -> None:
        """Take a broken entry out of the way, where it cannot be exchanged. Never written over: it may be mapped."""
        folder = self._folder_of(key)
        taken = take_away(folder, self._tmp)
        if taken is None:
            return
        with suppress(BrokenEntryError):
            # Between our look and our move another process may have put a whole one there: it goes back.
            if read_entry(taken, key) is not None and publish_folder(taken, folder):
                return
        log.warning("removed the broken entry %s", folder)
        delete_tree(taken)


def _checked(text: str) -> str:
    if not is_sha256(text):
        raise ValueError(f"{text!r} is not a sha256: 64 lower-case hex digits")
    return text


def _adopted(winner: Entry, made: Record) -> Entry:
    log.info("entry %s was published by another process meanwhile", winner.key)
    if winner.record.weights_sha256 != made.weights_sha256:
        log.warning("entry %s was made twice, with different bytes; keeping the first", winner.key)
    return winner
