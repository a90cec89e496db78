"""The store: entries of converted weights by key, refs, kept originals, and the work under way.

One root that is written to, and any number of read-only ones below it, searched in order. Where things lie in a root is
in `tier.py`. This file says what can be done with the store; how each thing is done is in the files beside it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import collection, disk, kept, label, leases, locks, quarantine, record
from .abandoned import abandoned_directories
from .collection import Budget, Collected
from .entry import Entry, broken, read_entry
from .errors import BrokenEntryError, CacheError, CacheNotWritableError
from .filesystem import Handling, remembered_or_facts
from .identity import ContentHash, Key, is_file_name
from .leases import Lease
from .record import Record
from .refs import check_ref, ref_bytes, ref_files, ref_path
from .refusal import refusals
from .safetensors_header import check_header, header_digest
from .space import free_bytes, no_space
from .staging import Staging, fresh_path
from .tier import Tier, checked
from .usage import Usage, measure
from .verification import sha256_of, verify_entry

log = logging.getLogger("depthhub_cache")

_ATTEMPTS = 5


class Store:
    """A content-addressed store of weights under `root`, shared by any number of processes.

    Entries are immutable, and whole or absent at every instant. Reading takes no lock and writes nothing that matters.
    below: roots that are read after `root` and never written to. lock_timeout: longest wait for another process that
    makes the same entry, in seconds.
    A write that is needed and impossible is a CacheNotWritableError; reading what the system hides is a CacheError.
    """

    def __init__(self, root: Path, *, below: Sequence[Path] = (), lock_timeout: float = 300.0) -> None:
        self.root = root
        self.tiers = (Tier(root), *map(Tier, below))
        self._own = self.tiers[0]
        self._tmp = self._own.folder("tmp")
        self._lock_timeout = lock_timeout
        self._distrusted: set[Path] = set()

    # entries

    def get(self, key: Key) -> Entry | None:
        """The entry, after the quick check; None where it is missing or broken, and must be made."""
        for tier in self.tiers:
            try:
                entry = tier.get(key)
            except CacheError as error:
                if tier is self._own:
                    raise
                log.warning("%s", error)
                continue
            if entry is not None and entry.path not in self._distrusted:
                return entry
        return None

    def keys(self) -> Iterator[Key]:
        """The names of all that lies among the entries, broken ones too, in order."""
        return iter(sorted(set().union(*(tier.keys() for tier in self.tiers))))

    def entries(self) -> Iterator[Entry]:
        """The entries that `get` gives, in the order of their keys."""
        return (entry for key in self.keys() if (entry := self.get(key)))

    def lock(self, key: Key, *, on_wait: Callable[[str], None] | None = None) -> AbstractContextManager[bool]:
        """Hold the lock of `key` while its entry is made, so that others wait for it instead of making it too.

        The context's value says whether it is held: after `lock_timeout`, or where locks do not work, it goes on
        without. on_wait: told in a sentence, after two seconds, who holds it.
        """
        return self._lock(key, timeout=self._lock_timeout, on_wait=on_wait)

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
        Nothing else of `staging` is published. ValueError where a file of safetensors is framed as none.
        """
        staged = staging.finished(weights)
        with refusals(staged.path):
            header = _digest_of_header(staged.path, staged.size)
        made = Record(
            schema=record.SCHEMA,
            key=key,
            weights=weights,
            weights_sha256=staged.sha256(),
            weights_size=staged.size,
            header_sha256=header,
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            about=about,
        )
        return self._publish(made, staging)

    def publish_record(self, made: Record, staging: Staging) -> Entry:
        """Publish the finished file `made.weights` of `staging` with a record that came with it.

        Raises BrokenEntryError where the file is not the one that the record describes.
        """
        staged = staging.finished(made.weights)
        folder = self._own.entry_folder(made.key)
        try:
            header = _digest_of_header(staged.path, staged.size)
        except ValueError as error:
            raise broken(folder, f"{made.weights} is damaged: {error}") from error
        found = (staged.size, staged.sha256(), header)
        if found != (made.weights_size, made.weights_sha256, made.header_sha256):
            raise broken(folder, f"{made.weights} is not the file that its record describes")
        return self._publish(made, staging)

    def remove(self, key: Key) -> int:
        """Remove an entry, whole or broken; bytes freed, 0 where there was none. Who has it open keeps it."""
        taken = fresh_path(self._tmp)
        return disk.delete_tree(taken) if disk.take_away(self._own.entry_folder(key), taken) else 0

    def verify(self, entry: Entry | Key, *, deep: bool) -> None:
        """Raises BrokenEntryError that names what is wrong: quick by record, header and size, deep by every byte.

        Given a key, the first tier that has something under it is looked at.
        """
        if isinstance(entry, Entry):
            verify_entry(entry.path, entry.key, deep=deep)
        else:
            verify_entry(self.folder_of(entry), entry, deep=deep)

    def folder_of(self, key: Key) -> Path:
        """Where the entry `key` is, whole or broken, in the first tier that has it; else where it would be made."""
        folders = [tier.entry_folder(key) for tier in self.tiers]
        return next(filter(os.path.lexists, folders), folders[0])

    def distrust(self, entry: Entry, reason: str) -> None:
        """Never give this entry again: set it aside in the quarantine; where that cannot be, pass by it from now on."""
        self._distrusted.add(entry.path)
        if entry.path != self._own.entry_folder(entry.key):
            log.warning("%s is not used: %s", entry.path, reason)
            return
        try:
            self.quarantine(entry.path, reason)
        except CacheError as error:
            log.warning("%s is not used: %s (it cannot be set aside: %s)", entry.path, reason, error)
        else:
            self._distrusted.discard(entry.path)

    def quarantine(self, path: Path, reason: str) -> Path | None:
        """Set aside an entry's folder, or a ref's file, of the own tier, with the reason; where it is now."""
        return self._quarantine(path, path.name.partition(".")[0], reason)

    def handling_of(self, entry: Entry) -> Handling:
        """Whether to map or to read what lies where `entry` is, by what was found out there."""
        return remembered_or_facts(entry.path, self.recall)

    def lease(self, entry: Entry) -> Lease:
        """Say that this process has `entry` open, and that it is used now; both as far as that can be written."""
        if entry.path != self._own.entry_folder(entry.key):
            return Lease(None)
        with suppress(CacheError):
            disk.mark(self._own.folder("used") / entry.key)
        return leases.take(self._own.folder("leases"), entry.key)

    # pins, and what is collected without them

    def pin(self, key: Key) -> None:
        """Let no collection remove the entry `key`."""
        disk.make_file(self._pin(key))

    def unpin(self, key: Key) -> None:
        """Let it be removed when its time comes."""
        disk.remove_file(self._pin(key))

    def is_pinned(self, key: Key) -> bool:
        return self._pin(key).exists()

    def collect(self, budget: Budget, *, dry_run: bool = False, keep: Sequence[Key] = ()) -> Collected:
        """Remove rubbish, then what `budget` has no room for, the longest unused first; neither leased nor pinned.

        keep: keys that stay this time. A dry run removes nothing.
        """
        swept = 0 if dry_run else self.sweep()
        return collection.collect(
            self._own, budget, dry_run=dry_run, keep=keep, swept=swept, lock=lambda key: self._lock(key, timeout=0)
        )

    def require_space(self, needed: int) -> None:
        """Raises NoSpaceError, saying what is missing and what a collection would free, if there is no room."""
        free = free_bytes(self.root)
        if free is not None and free < needed:
            raise no_space(self.root, needed=needed, free=free, reclaimable=collection.reclaimable(self._own))

    # refs

    def recall(self, name: str) -> Mapping[str, Any] | None:
        """What was remembered under `name`; None where that is nothing, or damaged, or hidden from us."""
        return next((found for tier in self.tiers if (found := tier.recall(name)) is not None), None)

    def remember(self, name: str, data: Mapping[str, object]) -> None:
        """Remember plain JSON `data` under `name`, in place of what was remembered before."""
        content = ref_bytes(name, data)
        target = ref_path(self._own.folder("refs"), name)
        with self.stage() as staging:
            staging.add(target.name, content)
            staging.place(target.name, target)

    def forget(self, name: str) -> None:
        """Remember nothing under `name`; what a tier below remembers is covered by an empty answer."""
        disk.remove_file(ref_path(self._own.folder("refs"), name))
        if self.recall(name):
            self.remember(name, {})

    def refs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every remembered name with its data, as `recall` gives it."""
        found = {name: data for tier in reversed(self.tiers) for name, data in tier.refs()}
        return iter(found.items())

    def broken_refs(self) -> Iterator[tuple[Path, str]]:
        """Refs of the own tier that are not whole, and what is wrong with them."""
        folder = self._own.folder("refs")
        for path in ref_files(folder):
            try:
                check_ref(folder, path)
            except ValueError as error:
                yield path, str(error)
            except OSError as error:
                yield path, f"it cannot be read: {error.strerror}"

    # originals

    def keep(self, staged_path: Path, content_hash: ContentHash, *, filename: str | None = None) -> Path:
        """Move a finished staged file, whose sha256 the caller has verified, among the kept originals; its new path.

        filename: its name there, if not the one it has.
        """
        folder = self._own.original_folder(content_hash)
        with self.stage() as staging:
            return kept.keep(folder, staged_path, content_hash, filename=filename or staged_path.name, staging=staging)

    def kept(self, content_hash: ContentHash) -> Path | None:
        """A kept original. Its bytes are not checked: whoever parses them checks them first."""
        return next((found for tier in self.tiers if (found := tier.kept(content_hash)) is not None), None)

    def kept_checkpoints(self) -> Iterator[tuple[ContentHash, Path]]:
        """Every kept original of the own tier."""
        return self._own.kept_checkpoints()

    def broken_originals(self) -> Iterator[tuple[Path, str]]:
        """Kept originals, by their folders, whose bytes are no longer theirs. Reads every byte."""
        for content_hash, path in self._own.kept_checkpoints():
            try:
                found = sha256_of(path)
            except OSError as error:
                yield path.parent, f"it cannot be read: {error.strerror}"
            else:
                if found != content_hash:
                    yield path.parent, f"{path.name} has sha256 {found}"

    # work under way, and what became of it

    def abandoned(self, name: str) -> Iterator[Path]:
        """Files `name` in staging directories whose owner is surely gone. They may vanish at any time."""
        if not is_file_name(name):
            raise ValueError(f"{name!r} is not a plain file name")
        for directory in abandoned_directories(self._tmp):
            if (directory / name).is_file():
                yield directory / name

    def sweep(self) -> int:
        """Remove what processes have left that are surely gone: staging directories, leases; bytes freed."""
        leases.sweep(self._own.folder("leases"))
        locks.sweep(self._own.folder("locks"))
        return sum(disk.delete_tree(directory) for directory in abandoned_directories(self._tmp))

    def usage(self) -> Usage:
        """What the parts of the own tier take of the disk, and what is free. Reads the whole of it."""
        return measure(self._own)

    def _lock(
        self, key: Key, *, timeout: float, on_wait: Callable[[str], None] | None = None
    ) -> AbstractContextManager[bool]:
        path = self._own.folder("locks") / f"{checked(key)}.lock"
        kind = remembered_or_facts(path, self.recall).locks
        return locks.hold(path, kind, tmp=self._tmp, timeout=timeout, on_wait=on_wait)

    def _publish(self, made: Record, staging: Staging) -> Entry:
        data, key = made.to_bytes(), made.key
        made = Record.parse(data)
        folder = self._own.entry_folder(key)
        gathered = staging.gather(
            "entry",
            {made.weights: staging.finished(made.weights).path, record.FILE_NAME: staging.add(record.FILE_NAME, data)},
        )
        for _ in range(_ATTEMPTS):
            if disk.publish_folder(gathered, folder):
                return Entry(key, folder, folder / made.weights, made)
            there = self._own.get(key)
            if there is not None:
                return _adopted(there, made)
            if disk.exchange_folder(gathered, folder):
                with suppress(CacheError):  # what was asked for is done
                    self._quarantine(gathered, key, f"{folder} was broken, and was made again")
                return Entry(key, folder, folder / made.weights, made)
            self._set_aside(key)
        raise CacheError(f"Could not publish {folder}: other processes keep changing it. Try again.", path=folder)

    def _set_aside(self, key: Key) -> None:
        """Take a broken entry out of the way, where it cannot be exchanged. Never written over: it may be mapped."""
        folder, taken = self._own.entry_folder(key), fresh_path(self._tmp)
        if not disk.take_away(folder, taken):
            return
        with suppress(BrokenEntryError):
            # Between our look and our move another process may have put a whole one there: it goes back.
            if read_entry(taken, key) is not None and disk.publish_folder(taken, folder):
                return
        self._quarantine(taken, key, f"{folder} was broken, and was made again")

    def _quarantine(self, path: Path, name: str, reason: str) -> Path | None:
        return quarantine.set_aside(path, reason, name=name, quarantine=self._own.folder("quarantine"), tmp=self._tmp)

    def _pin(self, key: Key) -> Path:
        return self._own.folder("pins") / checked(key)


def _digest_of_header(weights: Path, size: int) -> ContentHash | None:
    if weights.suffix != ".safetensors":
        return None
    check_header(weights, size)
    return header_digest(weights, size)


def _adopted(winner: Entry, made: Record) -> Entry:
    log.info("entry %s was published by another process meanwhile", winner.key)
    if winner.record.weights_sha256 != made.weights_sha256:
        log.warning("entry %s was made twice, with different bytes; keeping the first", winner.key)
    return winner
