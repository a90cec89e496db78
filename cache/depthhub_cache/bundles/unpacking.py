"""A bundle to entries and refs of a store: nothing of it is believed before it is verified."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ..entry import Entry
from ..errors import BrokenEntryError, BundleError, CacheError
from ..identity import Key
from ..record import Record
from ..refs import parse_ref, ref_bytes, ref_path
from ..store import Store
from .archive import ArchiveReader, Report, silent
from .manifest import FILE_NAME, LIMIT, WEIGHTS, Manifest, Member, PackedEntry, ref_name

log = logging.getLogger("depthhub_cache")

RefProblem = Callable[[str, Mapping[str, Any], Sequence[Record]], str | None]
"""What is wrong with a ref (name, data) beside the entries of its bundle (their records), in words; None: nothing."""

Merged = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any] | None]
"""Of a ref's data in a bundle and what is remembered under its name here: what is to be; None where that stays."""

State = Literal["imported", "kept", "replaced"]
"""kept: a sound one was there already. replaced: what was there was broken."""


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


def import_bundle(
    store: Store,
    file: BinaryIO,
    path: Path,
    *,
    ref_problem: RefProblem | None = None,
    merged: Merged | None = None,
    progress: Report | None = None,
) -> ImportReport:
    """Publish the entries of the bundle `file` that are not in the store, and remember its refs that nobody knows here.

    path: of the bundle, for messages. ref_problem: refs in which it finds something are refused. merged: of a ref in
    the bundle and the one that is remembered here, what takes that one's place; None where it stays.
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
    tell = progress or silent
    bundle = _Import(store, reader, there, ref_problem, merged, lambda: tell(reader.done, total))
    entries: list[Imported] = []
    try:
        for packed in manifest.entries:
            entries.append(bundle.entry(packed))
        refs = tuple(name for member in manifest.refs if (name := bundle.ref(member)) is not None)
        reader.end()
    except BundleError as error:
        if not entries:
            raise
        before = f"{len(entries)} of its {len(manifest.entries)} entries came before that; they are verified, and here."
        raise BundleError(f"{error} {before}", path=path, member=error.member) from error
    return ImportReport(entries=tuple(entries), refs=refs)


class _Import:
    """One bundle on its way into a store, member by member."""

    def __init__(
        self,
        store: Store,
        reader: ArchiveReader,
        there: Mapping[Key, Entry | None],
        ref_problem: RefProblem | None,
        merged: Merged | None,
        tell: Callable[[], None],
    ) -> None:
        self._store = store
        self._reader = reader
        self._there = there
        self._ref_problem = ref_problem
        self._merged = merged
        self._tell = tell
        self._records: list[Record] = []

    def entry(self, packed: PackedEntry) -> Imported:
        """The next entry: published, or verified all the same where a sound one is there."""
        made = self._record(packed)
        self._records.append(made)
        with self._store.lease(packed.key):  # no collection takes it away before its last byte is verified
            return self._imported(packed, made)

    def ref(self, member: Member) -> str | None:
        """The name of the next ref, if it is remembered now; None where the store has an answer, and no earlier one."""
        text = b"".join(self._content(member))
        try:
            name, data = parse_ref(text)
            _require_own_form(text, ref_bytes(name, data))
        except ValueError as error:
            raise self._reader.error(member.name, str(error)) from error
        if ref_name(ref_path(Path(), name).stem) != member.name:
            raise self._reader.error(member.name, "it is that of another name")
        problem = self._ref_problem(name, data, self._records) if self._ref_problem else None
        if problem is not None:
            raise self._reader.error(member.name, problem)
        here = self._store.recall(name)
        if not here and self._store.has_answer(name):  # damaged, hidden, or covered since: it may be a later one
            log.warning(
                "%s: the answer of the bundle is not remembered, since one that was damaged or is hidden may be later. "
                "Ask the Hub, or `depthhub cache quarantine --clear` and import it again.",
                name,
            )
            return None
        if here:
            made = None if self._merged is None else self._merged(data, here)
            if made is None:
                return None
            data = made
        self._store.remember(name, data)
        return name

    def _imported(self, packed: PackedEntry, made: Record) -> Imported:
        state: State = "replaced" if os.path.lexists(self._store.tiers[0].entry_folder(packed.key)) else "imported"
        there = self._sound(packed.key)
        if there is None:
            return Imported(entry=self._published(packed, made), state=state)
        for _ in self._content(packed.weights):
            pass
        if there.record.weights_sha256 != made.weights_sha256:
            log.warning("entry %s is here with other bytes than in the bundle; it stays as it is", packed.key)
        return Imported(entry=there, state="kept")

    def _record(self, packed: PackedEntry) -> Record:
        text = b"".join(self._content(packed.record))
        try:
            made = Record.parse(text)
            _require_own_form(text, made.to_bytes())
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
                return self._store.verify(entry, deep=True)
            except BrokenEntryError as error:
                self._store.distrust(entry, error.reason)
                entry = self._store.get(key)  # one in a tier below
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


def _require_own_form(text: bytes, written: bytes) -> None:
    """Raises ValueError where `text` is not what would be written of it here: that may be larger than is read back."""
    if text != written:
        raise ValueError("it says the same in other words than `depthhub cache export` writes")
