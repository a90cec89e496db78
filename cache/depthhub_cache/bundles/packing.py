"""Entries and refs to a bundle, each entry verified while it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..entry import Entry, broken
from ..errors import CacheError
from ..identity import Key
from ..refs import ref_bytes, ref_path
from ..store import Store
from .archive import SIZE_LIMIT, ArchiveWriter, Report, silent
from .manifest import FILE_NAME, LIMIT, WEIGHTS, Manifest, Member, PackedEntry, record_name, ref_name, weights_name

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSummary:
    """What was packed. size: bytes of the archive."""

    entries: tuple[Entry, ...]
    refs: tuple[str, ...]
    size: int


def export_bundle(
    store: Store,
    keys: Iterable[Key],
    refs: Mapping[str, Mapping[str, Any]],
    write: Callable[[bytes], object],
    *,
    check: Callable[[Entry], object] = lambda _: None,
    progress: Report | None = None,
) -> BundleSummary:
    """Write the entries `keys` and `refs` (name -> data) as a bundle, piece by piece, with `write`.

    check: given each entry that is packed, before anything is written; raises what the caller will not have.
    The weights are verified while they are read. Raises BrokenEntryError where an entry is missing or not as it was
    published, and CacheError where it is none that a bundle can carry; what was written until then is worth nothing.
    """
    with ExitStack() as leases:
        entries = [_taken_along(store, key, leases) for key in sorted(set(keys))]
        for entry in entries:
            check(entry)
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
        archive = ArchiveWriter(_telling(write, progress or silent, total))
        archive.add(FILE_NAME, len(text), [text])
        for entry in entries:
            name = record_name(entry.key)
            archive.add(name, len(records[name]), [records[name]])
            archive.add(weights_name(entry.key), entry.record.weights_size, _verified_weights(entry))
        for name in sorted(texts):
            archive.add(name, len(texts[name]), [texts[name]])
        archive.end()
    return BundleSummary(entries=tuple(entries), refs=tuple(sorted(refs)), size=archive.written)


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


def _telling(write: Callable[[bytes], object], progress: Report, total: int) -> Callable[[bytes], object]:
    done = 0

    def write_and_tell(data: bytes) -> None:
        nonlocal done
        write(data)
        done += len(data)
        progress(done, total)

    return write_and_tell
