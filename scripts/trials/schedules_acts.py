"""What the calls of a schedule do in one cache: each has a store of its own, and makes the entry of bytes of its own.

All that several versions of this library would publish under one key has one size and one header: nothing but the
numbers and the record tell one from the other, so any mixture of them would pass the quick check.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.collection import Budget
from depthhub_cache.entry import Entry, file_state, identity_of, unreadable
from depthhub_cache.errors import BrokenEntryError
from depthhub_cache.leases import Lease
from depthhub_cache.record import Record
from depthhub_cache.store import Store
from depthhub_cache.verification import is_broken, verify_entry

from .samples import sample_key, sample_sha256, sample_weights

KEY = sample_key("schedules")
SIZE = 3_000

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load was given: the bytes that it mapped, and the record that says whose they are."""

    data: bytes
    record: Record
    verified: bool

    @property
    def is_right(self) -> bool:
        digest = hashlib.sha256(self.data).hexdigest()
        return digest == self.record.weights_sha256 == sample_sha256(self.record.about["maker"], SIZE)


@dataclass(slots=True, kw_only=True)
class Caller:
    """One who works in the cache, as a process of its own would. maker: tells its bytes from all others'.

    exported: the bundles that were made, whole ones. leases: of what was loaded, which stays open.
    """

    root: Path
    below: Sequence[Path]
    maker: str
    bundle: bytes
    exported: list[bytes]
    leases: list[Lease]
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.root, below=self.below)

    def load(self, *, verify: bool = False) -> Loaded | None:
        """As a load of the registry goes: find, or make; map what was found; look again whose it is. None: gave up."""
        for attempt in range(_ATTEMPTS):
            entry = self._sound(verify=verify)
            if entry is None:
                entry = self._make()
                if verify and not self._is_sound(entry):
                    entry = self._sound(verify=True)
                if entry is None:
                    return None  # an error that says so
            self.leases.append(self.store.lease(entry))
            if loaded := _loaded(entry, verified=verify):
                return loaded
            if attempt:
                self.store.distrust(entry, "it is not what was published")
        return None

    def load_verified(self) -> Loaded | None:
        return self.load(verify=True)

    def make(self) -> Loaded | None:
        """Convert it without a look whether it is there, as who held no lock: what is adopted then is verified."""
        return _loaded(self._make(), verified=True)

    def distrust(self) -> None:
        if entry := self.store.get(KEY):
            self.store.distrust(entry, "a trial does not trust it")

    def verify(self, *, deep: bool = False) -> None:
        """As the command does."""
        folder = self.store.tiers[0].entry_folder(KEY)
        try:
            verify_entry(folder, KEY, deep=deep)
        except BrokenEntryError as error:
            self.store.quarantine(folder, str(error), still=lambda path: is_broken(path, KEY, deep=deep))

    def verify_deep(self) -> None:
        self.verify(deep=True)

    def remove(self) -> None:
        self.store.remove(KEY, force=False)

    def remove_by_force(self) -> None:
        self.store.remove(KEY)

    def collect(self) -> None:
        self.store.collect(Budget(max_size=0))

    def clear(self) -> None:
        self.store.clear_quarantine()
        self.store.sweep()

    def export(self) -> None:
        archive = io.BytesIO()
        export_bundle(self.store, [KEY], {}, archive.write)
        self.exported.append(archive.getvalue())

    def import_(self) -> Loaded | None:
        """What is there already is verified, too."""
        [imported] = import_bundle(self.store, io.BytesIO(self.bundle), Path("models.tar")).entries
        return _loaded(imported.entry, verified=True)

    def _sound(self, *, verify: bool) -> Entry | None:
        while entry := self.store.get(KEY):
            if not verify or self._is_sound(entry):
                return entry
        return None

    def _is_sound(self, entry: Entry) -> bool:
        try:
            verified = self.store.verify(entry, deep=True)
        except BrokenEntryError as error:
            self.store.distrust(entry, str(error))
            return False
        return (verified.identity, verified.state) == (entry.identity, entry.state)

    def _make(self) -> Entry:
        self.leases.append(self.store.lease(KEY))
        return publish_as(self.maker, self.store)


Act = Callable[[Caller], Loaded | None]

GENTLE: dict[str, Act] = {
    "load": Caller.load,
    "load, verified": Caller.load_verified,
    "make": Caller.make,
    "verify": Caller.verify,
    "verify --deep": Caller.verify_deep,
    "remove": Caller.remove,
    "collect": Caller.collect,
    "clear": Caller.clear,
    "export": Caller.export,
}
"""None of these takes away an entry that is sound and pinned."""

ACTS: dict[str, Act] = {
    **GENTLE,
    "distrust": Caller.distrust,
    "remove --force": Caller.remove_by_force,
    "import": Caller.import_,
}

REPAIRS = ("load, verified", "verify --deep", "remove --force", "make", "distrust")
"""What meets where an entry is found damaged: several set it aside, and make it anew."""


def publish_as(maker: str, store: Store) -> Entry:
    """Publish what `maker` makes of the checkpoint."""
    with store.stage() as staging:
        with staging.file("weights.safetensors") as file:
            file.write(sample_weights(maker, SIZE))
        return store.publish(KEY, staging, about={"maker": maker})


def bundle_of(maker: str, folder: Path) -> bytes:
    """A bundle with the entry that `maker` makes. folder: for a cache of its own."""
    archive, store = io.BytesIO(), Store(folder)
    publish_as(maker, store)
    export_bundle(store, [KEY], {}, archive.write)
    return archive.getvalue()


def _loaded(entry: Entry, *, verified: bool) -> Loaded | None:
    data = _mapped(entry)
    return Loaded(data=data, record=entry.record, verified=verified) if data is not None else None


def _mapped(entry: Entry) -> bytes | None:
    """What a load of `entry` would have in its hands; None where that is not what was found any more."""
    try:
        with entry.weights.open("rb", buffering=0) as file:
            if file_state(os.fstat(file.fileno())) != entry.state:
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as data:
                return data[:] if identity_of(entry.path) == entry.identity else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(entry.path, error) from error
