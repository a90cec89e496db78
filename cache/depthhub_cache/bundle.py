"""Bundles: entries and refs of a cache as one file, for machines without a network.

    bundle.json                          sealed: what follows, with sizes and digests, in order
    entries/<key>/entry.json             for each entry, by key: its record
    entries/<key>/weights.safetensors    and its weights
    refs/<sha256 of the name>.json       for each ref, by the sha256 of its name

The same entries and refs are the same bytes, whoever packs them and whenever. Both ways stream: no second copy is made
on the disk, and memory does not grow with the weights. Each member must be the one that the manifest promises next, of
the size and the sha256 that it promises, and an entry is published only when it is wholly verified.

What that does not give: a bundle is not signed. One that somebody forged altogether, with digests to match, is as
trustworthy as who sent it. It cannot bring code, only numbers, but those may be wrong ones: compare the sha256 of the
archive with the one that the export gave, by a way that you trust.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from .archive import SIZE_LIMIT, ArchiveReader, ArchiveWriter
from .bundle_manifest import (
    FILE_NAME,
    LIMIT,
    WEIGHTS,
    Manifest,
    Member,
    PackedEntry,
    record_name,
    ref_name,
    weights_name,
)
from .entry import Entry, broken
from .errors import BrokenEntryError, CacheError
from .identity import Key
from .record import Record
from .refs import parse_ref, ref_bytes, ref_path
from .store import Store

log = logging.getLogger("depthhub_cache")

Report = Callable[[int, int], None]
"""Told bytes done, and bytes in all. Raising in it cancels the work; nothing half-made stays behind."""

RefProblem = Callable[[str, Mapping[str, Any], Sequence[Record]], str | None]
"""What is wrong with a ref (name, data) beside the entries of its bundle (their records), in words; None: nothing."""

State = Literal["imported", "kept", "replaced"]
"""kept: a sound one was there already. replaced: what was there was broken."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSummary:
    """What was packed. size: bytes of the archive."""

    entries: tuple[Entry, ...]
    refs: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An entry of a bundle that is in the store now."""

    entry: Entry
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of a bundle. refs: names that are remembered now and were not before."""

    entries: tuple[Imported, ...]
    refs: tuple[str, ...]


def export_bundle(
    store: Store,
    keys: Iterable[Key],
    refs: Mapping[str, Mapping[str, Any]],
    write: Callable[[bytes], object],
    *,
    progress: Report | None = None,
) -> BundleSummary:
    """Write the entries `keys` and `refs` (name -> data) as a bundle, piece by piece, with `write`.

    The weights are verified while they are read. Raises BrokenEntryError where an entry is missing or not as it was
    published, and CacheError where it is none that a bundle can carry; what was written until then is worth nothing.
    """
    with ExitStack() as leases:
        entries = [_taken_along(store, key, leases) for key in sorted(set(keys))]
        records = {record_name(entry.key): entry.record.to_bytes() for entry in entries}
        texts = {ref_name(ref_path(Path(), name).stem): ref_bytes(name, data) for name, data in refs.items()}
        manifest = Manifest(
            [_packed(entry, records[record_name(entry.key)]) for entry in entries],
            [Member.of(name, texts[name]) for name in sorted(texts)],
        )
        text = manifest.to_bytes()
        if len(text) > LIMIT:
            raise ValueError(f"{len(entries):,} entries are more than one bundle can hold")
        total = manifest.archive_size()
        archive = ArchiveWriter(_telling(write, progress or _silent, total))
        archive.add(FILE_NAME, len(text), [text])
        for entry in entries:
            name = record_name(entry.key)
            archive.add(name, len(records[name]), [records[name]])
            archive.add(weights_name(entry.key), entry.record.weights_size, _verified_weights(entry))
        for name in sorted(texts):
            archive.add(name, len(texts[name]), [texts[name]])
        archive.end()
    return BundleSummary(entries=tuple(entries), refs=tuple(sorted(refs)), size=archive.written)


def import_bundle(
    store: Store,
    file: BinaryIO,
    path: Path,
    *,
    ref_problem: RefProblem | None = None,
    progress: Report | None = None,
) -> ImportReport:
    """Publish the entries of the bundle `file` that are not in the store, and remember its refs that nobody knows here.

    path: of the bundle, for messages. ref_problem: refs in which it finds something are refused.
    Raises BundleError at the first thing that is not as it was exported: the entries before it stay, verified as they
    are, and nothing of it. Raises CacheNotWritableError before anything is done where the space does not suffice.
    """
    reader = ArchiveReader(file, path)
    text = reader.announced(FILE_NAME, limit=LIMIT)
    try:
        manifest = Manifest.parse(text)
    except ValueError as error:
        raise reader.error(FILE_NAME, str(error)) from error
    total = manifest.archive_size()
    reader.require_size(total)  # before a size that it promises costs anything
    there = {packed.key: store.get(packed.key) for packed in manifest.entries}
    store.require_space(sum(packed.weights.size for packed in manifest.entries if there[packed.key] is None))
    tell = progress or _silent
    bundle = _Import(store, reader, there, ref_problem, lambda: tell(reader.done, total))
    entries = tuple(bundle.entry(packed) for packed in manifest.entries)
    refs = tuple(name for member in manifest.refs if (name := bundle.ref(member)) is not None)
    reader.end()
    return ImportReport(entries=entries, refs=refs)


def _taken_along(store: Store, key: Key, leases: ExitStack) -> Entry:
    entry = store.get(key)
    if entry is None:
        store.verify(key, deep=False)  # says what is wrong with it
        raise CacheError(f"The entry {key} changed while it was exported. Try again.", path=store.root)
    leases.callback(store.lease(entry).release)
    if entry.record.weights != WEIGHTS or entry.record.weights_size > SIZE_LIMIT:
        raise CacheError(
            f"The entry {entry.path} cannot go into a bundle: that takes files {WEIGHTS} of {SIZE_LIMIT:,} bytes at "
            f"most, and this is {entry.record.weights} of {entry.record.weights_size:,}.",
            path=entry.path,
        )
    return entry


def _packed(entry: Entry, text: bytes) -> PackedEntry:
    return PackedEntry(
        entry.key,
        Member.of(record_name(entry.key), text),
        Member(weights_name(entry.key), entry.record.weights_size, entry.record.weights_sha256),
    )


def _verified_weights(entry: Entry) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    try:
        with entry.weights.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > entry.record.weights_size:
                    break
                yield chunk
    except OSError as error:
        raise broken(entry.path, f"{entry.weights.name} cannot be read: {error.strerror}") from error
    if digest.hexdigest() != entry.record.weights_sha256:
        found = digest.hexdigest()
        raise broken(entry.path, f"{entry.weights.name} has sha256 {found} instead of {entry.record.weights_sha256}")


class _Import:
    """One bundle on its way into a store, member by member."""

    def __init__(
        self,
        store: Store,
        reader: ArchiveReader,
        there: Mapping[Key, Entry | None],
        ref_problem: RefProblem | None,
        tell: Callable[[], None],
    ) -> None:
        self._store = store
        self._reader = reader
        self._there = there
        self._ref_problem = ref_problem
        self._tell = tell
        self._records: list[Record] = []

    def entry(self, packed: PackedEntry) -> Imported:
        """The next entry: published, or verified all the same where a sound one is there."""
        made = self._record(packed)
        self._records.append(made)
        state: State = "replaced" if self._store.tiers[0].entry_folder(packed.key).exists() else "imported"
        there = self._sound(packed.key)
        if there is None:
            return Imported(entry=self._published(packed, made), state=state)
        for _ in self._content(packed.weights):
            pass
        if there.record.weights_sha256 != made.weights_sha256:
            log.warning("entry %s is here with other bytes than in the bundle; it stays as it is", packed.key)
        return Imported(entry=there, state="kept")

    def ref(self, member: Member) -> str | None:
        """The name of the next ref, if it is remembered now; None where the store has its own answer."""
        text = b"".join(self._content(member))
        try:
            name, data = parse_ref(text)
        except ValueError as error:
            raise self._reader.error(member.name, str(error)) from error
        if ref_name(ref_path(Path(), name).stem) != member.name:
            raise self._reader.error(member.name, "it is that of another name")
        problem = self._ref_problem(name, data, self._records) if self._ref_problem else None
        if problem is not None:
            raise self._reader.error(member.name, problem)
        if self._store.recall(name):
            return None
        self._store.remember(name, data)
        return name

    def _record(self, packed: PackedEntry) -> Record:
        text = b"".join(self._content(packed.record))
        try:
            made = Record.parse(text)
        except ValueError as error:
            raise self._reader.error(packed.record.name, str(error)) from error
        promised = (packed.key, WEIGHTS, packed.weights.size, packed.weights.sha256)
        if (made.key, made.weights, made.weights_size, made.weights_sha256) != promised:
            raise self._reader.error(packed.record.name, f"it is of another entry than {FILE_NAME} promises")
        return made

    def _sound(self, key: Key) -> Entry | None:
        """What is there already, every byte of it verified; what is not sound is set aside as `verify` does it."""
        entry = self._there[key]
        while entry is not None:
            try:
                self._store.verify(entry, deep=True)
            except BrokenEntryError as error:
                self._store.distrust(entry, str(error))
                entry = self._store.get(key)  # one in a tier below
            else:
                return entry
        return None

    def _published(self, packed: PackedEntry, made: Record) -> Entry:
        with self._store.stage() as staging:
            with staging.file(WEIGHTS) as staged:
                for chunk in self._content(packed.weights):
                    staged.write(chunk)
            try:
                entry = self._store.publish_record(made, staging)
            except BrokenEntryError as error:
                raise self._reader.error(packed.weights.name, "it is not what its record describes") from error
        if self._store.get(made.key) is None:
            raise CacheError(
                f"The entry {entry.path} is broken and cannot be set aside now. Close the programs that have it open, "
                "and import the bundle again.",
                path=entry.path,
            )
        return entry

    def _content(self, member: Member) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in self._reader.member(member.name, member.size):
            digest.update(chunk)
            self._tell()
            yield chunk
        if digest.hexdigest() != member.sha256:
            raise self._reader.error(member.name, f"it has sha256 {digest.hexdigest()} instead of {member.sha256}")


def _telling(write: Callable[[bytes], object], progress: Report, total: int) -> Callable[[bytes], object]:
    done = 0

    def write_and_tell(data: bytes) -> None:
        nonlocal done
        write(data)
        done += len(data)
        progress(done, total)

    return write_and_tell


def _silent(done: int, total: int) -> None:
    """The callback of a caller who did not ask."""
