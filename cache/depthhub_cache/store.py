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
from typing import TYPE_CHECKING, Any

from . import disk, leases, record
from .distrust import Distrusted
from .entry import Entry, broken
from .errors import CacheError, CacheNotWritableError
from .filesystem import Handling, remembered_or_facts
from .identity import ContentHash, Key, is_file_name, is_sha256
from .leases import Lease
from .reading import children, hides, may_be_a_file, may_be_there
from .record import Record
from .refs import lost_markers, lost_path, ref_bytes, ref_files, ref_path, ref_problem
from .refusal import refusals
from .safetensors_header import check_header, header_digest
from .tier import Tier, checked

if TYPE_CHECKING:  # what a hit does not need is imported when it is needed
    from .collection import Budget, Collected
    from .quarantine import SetAside
    from .staging import Staging
    from .usage import Usage

log = logging.getLogger("depthhub_cache")


class Store:
    """A content-addressed store of weights under `root`, shared by any number of processes.

    Entries are immutable, and whole or absent at every instant. Reading takes no lock and writes nothing that matters.
    below: roots that are read after `root` and never written to. lock_timeout: longest wait for another process that
    makes the same entry, in seconds.
    A write that is needed and impossible is a CacheNotWritableError; reading what the system hides is a CacheError.
    """

    def __init__(self, root: Path, *, below: Sequence[Path] = (), lock_timeout: float = 300.0) -> None:
        self.root = Path(root)
        self.tiers = (Tier(self.root), *map(Tier, below))
        self._own = self.tiers[0]
        self._tmp = self._own.folder("tmp")
        self._lock_timeout = lock_timeout
        self._distrusted = Distrusted(self._own)

    def owns(self, path: Path) -> bool:
        """Whether it lies in the own tier; another one's root may lie in its root."""
        return path.is_relative_to(self.root / "v1")

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
            if entry is not None and entry not in self._distrusted:
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
        """A directory of one's own to write files in (`with staging.file(name) as file`) before they are published.

        It is gone after the context, with all that was not published.
        """
        from . import label
        from .staging import Staging

        with Staging(self._tmp) as staging:
            with suppress(CacheNotWritableError):  # what is wrong will show in what was asked for
                label.put(self.root, staging)
            yield staging

    def publish(
        self, key: Key, staging: Staging, *, weights: str = "weights.safetensors", about: Mapping[str, object]
    ) -> Entry:
        """Publish the finished file `weights` of `staging` as the entry `key`, with what `about` says of it.

        Whoever comes second adopts the entry that is there, after reading every byte of it; a broken one is replaced.
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
            with refusals(staged.path):
                header = _digest_of_header(staged.path, staged.size)
        except ValueError as error:
            raise broken(folder, f"{made.weights} is damaged: {error}") from error
        found = (staged.size, staged.sha256(), header)
        if found != (made.weights_size, made.weights_sha256, made.header_sha256):
            raise broken(folder, f"{made.weights} is not the file that its record describes")
        return self._publish(made, staging)

    def remove(self, key: Key, *, force: bool = True) -> int:
        """Remove an entry, whole or broken; bytes freed, 0 where there was none. Who has it open keeps it.

        force: also one that is pinned or in use, be it since a moment ago; without, that is a CacheError.
        """
        from . import collection
        from .staging import fresh_path

        folder, taken = self._own.entry_folder(key), fresh_path(self._tmp)
        if force:
            return collection.delete(self._own, "entry", key, taken) if disk.take_away(folder, taken) else 0
        with self._lock(key, timeout=0):  # who misses what is put back in a moment waits for it
            held = self.why_held(key) or collection.take_unless_held(self._own, "entry", key, folder, to=taken)
            if held not in (None, collection.GONE):
                raise CacheError(f"The entry {folder} is {held}.", path=folder)
            return collection.delete(self._own, "entry", key, taken)

    def verify(self, entry: Entry | Key, *, deep: bool) -> Entry:
        """What was verified: it may be another one than `entry`, that has taken its place since.

        Raises BrokenEntryError that names what is wrong: quick by record, header and size, deep by every byte.
        Given a key, the first tier that has something under it is looked at.
        """
        from .verification import verify_entry

        if isinstance(entry, Entry):
            return verify_entry(entry.path, entry.key, deep=deep)
        return verify_entry(self.folder_of(entry), entry, deep=deep)

    def folder_of(self, key: Key) -> Path:
        """Where the entry `key` is, whole or broken, in the first tier that has it; else where it would be made."""
        folders = [tier.entry_folder(key) for tier in self.tiers]
        return next(filter(os.path.lexists, folders), folders[0])

    def distrust(self, entry: Entry, reason: str) -> None:
        """Never give this entry again: set it aside in the quarantine; where that cannot be, pass by it from now on."""
        self._distrusted.add(entry, reason)

    def quarantine(self, path: Path, reason: str, *, still: Callable[[Path], bool] | None = None) -> Path | None:
        """Set aside something of the own tier that failed a verification, with the reason; where it is now.

        still: asked, when it is out of everybody's way, whether this is what failed; else it goes back, and None is the
        answer: another process may have made it again meanwhile. Of an answer it stays known that it is lost.
        """
        from . import quarantine

        is_answer = path.is_relative_to(self._own.folder("refs"))
        if is_answer:
            disk.make_file(lost_path(path))
        place = quarantine.set_aside(path, reason, own=self._own, still=still)
        if is_answer and place is not None:
            disk.make_file(lost_path(path))  # another process may have cleared the quarantine meanwhile
        return place

    def set_aside(self) -> Iterator[SetAside]:
        """What lies in the quarantine, since when and why."""
        from . import quarantine

        return quarantine.set_aside_in(self._own.folder("quarantine"))

    def clear_quarantine(self) -> int:
        """Remove all that was set aside; bytes freed. Older answers in place of lost ones are as good as any then."""
        for marker in lost_markers(self._own.folder("refs")):
            disk.remove_file(marker)
        return sum(self._delete(item.path) for item in self.set_aside())

    def handling_of(self, entry: Entry) -> Handling:
        """Whether to map or to read what lies where `entry` is, by what was found out there."""
        return remembered_or_facts(entry.path, self.recall)

    def lease(self, entry: Entry | Key) -> Lease:
        """Say that this process has an entry open, and that it is used now; given a key, that it is about to make it.

        As far as that can be written; of an entry in a tier below nothing is said.
        """
        if isinstance(entry, Entry) and entry.path != self._own.entry_folder(entry.key):
            return Lease(None)
        if isinstance(entry, Entry):
            with suppress(CacheError):
                disk.mark(self._own.folder("used") / entry.key)
        key = entry.key if isinstance(entry, Entry) else entry
        return leases.take(self._own.folder("leases"), key)

    # pins, and what is collected without them

    def pin(self, key: Key) -> None:
        """Let no collection remove the entry `key`."""
        disk.make_file(self._pin(key))

    def unpin(self, key: Key) -> None:
        """Let it be removed when its time comes."""
        disk.remove_file(self._pin(key))

    def pins(self) -> Iterator[Key]:
        """The keys that are pinned, also where their entries are gone."""
        return (Key(path.name) for path in children(self._own.folder("pins")) if is_sha256(path.name))

    def is_pinned(self, key: Key) -> bool:
        return os.path.lexists(self._pin(key))

    def why_held(self, key: Key) -> str | None:
        """Why no collection removes the entry `key` now, in words: it is pinned, or in use; None: nothing holds it."""
        from . import collection

        return collection.why_held(self._own, "entry", key)

    def last_use(self, key: Key) -> datetime:
        """When the entry `key` was used last, or was made, as far as it could be noted."""
        from . import collection
        from .dates import date_of

        return date_of(collection.last_use(self._own, key))

    def collect(self, budget: Budget, *, dry_run: bool = False, keep: Sequence[Key] = ()) -> Collected:
        """Remove rubbish, then what `budget` has no room for, the longest unused first; neither leased nor pinned.

        keep: keys that stay this time. A dry run removes nothing.
        """
        from . import collection
        from .abandoned import abandoned_directories

        swept = sum(map(disk.tree_size, abandoned_directories(self._tmp))) if dry_run else self.sweep()
        return collection.collect(
            self._own, budget, dry_run=dry_run, keep=keep, swept=swept, lock=lambda key: self._lock(key, timeout=0)
        )

    def require_space(self, needed: int) -> None:
        """Raises NoSpaceError, saying what is missing and what a collection would free, if there is no room."""
        from .space import free_bytes, no_space

        free = free_bytes(self.root)
        if free is not None and free < needed:
            from . import collection

            held, reclaimable = collection.sizes(self._own)
            raise no_space(self.root, needed=needed, free=free, held=held, reclaimable=reclaimable)

    # refs

    def recall(self, name: str) -> Mapping[str, Any] | None:
        """What was remembered under `name`; None where that is nothing, or damaged, or hidden from us.

        A damaged, lost or hidden answer is none, whatever an older one in a tier below may say. Where all that a tier
        of others remembers is hidden, it is passed by with a warning.
        """
        passed_by = None
        for tier in self.tiers:
            found = tier.recall(name)
            if found is not None and passed_by is not None:
                log.warning("%s cannot be read; what the caches after it remember counts instead", passed_by)
            if found is not None or self._may_know(tier, name):
                return found
            refs = tier.folder("refs")
            passed_by = refs if hides(refs) else passed_by
        return None

    def has_answer(self, name: str) -> bool:
        """Whether something is remembered under `name`, or was and is damaged or lost, as far as the system tells."""
        return any(self._may_know(tier, name) for tier in self.tiers)

    def _may_know(self, tier: Tier, name: str) -> bool:
        """Of the own tier also where all that it remembers is hidden: it is the one that is kept up to date."""
        refs = tier.folder("refs")
        path = ref_path(refs, name)
        return may_be_there(path) or may_be_there(lost_path(path)) or (tier is self._own and hides(refs))

    def remember(self, name: str, data: Mapping[str, object]) -> None:
        """Remember plain JSON `data` under `name`, in place of what was remembered before."""
        content = ref_bytes(name, data)
        target = ref_path(self._own.folder("refs"), name)
        with self.stage() as staging:
            staging.add(target.name, content)
            staging.place(target.name, target)

    def forget(self, name: str) -> None:
        """Remember nothing under `name`, in one step: an empty answer tells that older ones count no more.

        Where there is no room for it the answer is removed, unless that would show one of a tier below.
        """
        if not self.has_answer(name):
            return
        try:
            self.remember(name, {})
        except CacheNotWritableError:
            if any(self._may_know(tier, name) for tier in self.tiers[1:]):
                raise
            disk.remove_file(ref_path(self._own.folder("refs"), name))

    def refs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every name under which something is remembered, with its data, as `recall` gives it."""
        names = dict.fromkeys(name for tier in self.tiers for name, _ in tier.refs())
        return ((name, found) for name in names if (found := self.recall(name)))

    def broken_refs(self) -> Iterator[tuple[Path, str]]:
        """Refs of the own tier that are not whole, and what is wrong with them."""
        for path in ref_files(self._own.folder("refs")):
            if problem := ref_problem(path, path.stem):
                yield path, problem

    # originals

    def keep(self, staged_path: Path, content_hash: ContentHash, *, filename: str | None = None) -> Path:
        """Move a finished staged file, whose sha256 the caller has verified, among the kept originals; its new path.

        filename: its name there, if not the one it has.
        """
        from .keeping import keep

        with self.stage() as staging:
            return keep(
                staged_path, content_hash, filename=filename or staged_path.name, staging=staging, own=self._own
            )

    def kept(self, content_hash: ContentHash) -> Path | None:
        """A kept original. Its bytes are not checked: whoever parses them checks them first."""
        return next(self.all_kept(content_hash), None)

    def all_kept(self, content_hash: ContentHash) -> Iterator[Path]:
        """What may be the kept original, for who finds the first one damaged, or some other file beside it."""
        for tier in self.tiers:
            yield from tier.kept(content_hash)

    def note_use(self, kept: Path) -> None:
        """Say that a kept original is used now, as far as that can be written; of a tier below nothing is said."""
        if self.owns(kept):
            with suppress(CacheError):
                disk.mark(kept.parent)

    def kept_checkpoints(self) -> Iterator[tuple[ContentHash, Path]]:
        """Every kept original of the own tier."""
        return self._own.kept_checkpoints()

    # work under way, and what became of it

    def abandoned(self, name: str) -> Iterator[Path]:
        """Files `name` in staging directories whose owner is surely gone. They may vanish at any time."""
        if not is_file_name(name):
            raise ValueError(f"{name!r} is not a plain file name")
        from .abandoned import abandoned_directories

        for directory in abandoned_directories(self._tmp):
            if may_be_a_file(directory / name):
                yield directory / name

    def sweep(self) -> int:
        """Remove what processes have left that are surely gone: staging directories, leases; bytes freed."""
        from . import locks
        from .abandoned import abandoned_directories, nameless_folders

        leases.sweep(self._own.folder("leases"))
        locks.sweep(self._own.folder("locks"))
        for folder in nameless_folders(self.root):
            disk.remove_empty_folder(folder)
        return sum(map(self._delete, abandoned_directories(self._tmp)))

    def _delete(self, directory: Path) -> int:
        """Out of its name first: should its owner be asleep and not gone, it cannot publish what is half deleted."""
        from .staging import fresh_path

        taken = fresh_path(self._tmp)
        try:
            return disk.delete_tree(taken) if disk.take_away(directory, taken) else 0
        except CacheError as error:
            log.debug("not swept: %s", error)
            return 0

    def usage(self) -> Usage:
        """What the parts of the own tier take of the disk, and what is free. Reads the whole of it."""
        from .usage import measure

        return measure(self._own)

    def _lock(
        self, key: Key, *, timeout: float, on_wait: Callable[[str], None] | None = None
    ) -> AbstractContextManager[bool]:
        from . import locks

        path = self._own.folder("locks") / f"{checked(key)}.lock"
        kind = remembered_or_facts(path, self.recall).locks
        return locks.hold(path, kind, tmp=self._tmp, timeout=timeout, on_wait=on_wait)

    def _publish(self, made: Record, staging: Staging) -> Entry:
        from .publication import publish

        return publish(made, staging, own=self._own, distrusted=self._distrusted)

    def _pin(self, key: Key) -> Path:
        return self._own.folder("pins") / checked(key)


def _digest_of_header(weights: Path, size: int) -> ContentHash | None:
    if weights.suffix != ".safetensors":
        return None
    check_header(weights, size)
    return header_digest(weights, size)
