"""The cache that a schedule begins with, and what has to hold of it when all calls have ended."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from unittest import mock

from depthhub_cache import exchange
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.errors import DepthHubError
from depthhub_cache.record import Record
from depthhub_cache.store import Store

from .mounts import mount_union, unmount
from .samples import sample_sha256
from .schedules_acts import KEY, SIZE, Caller, Loaded, publish_as
from .schedules_plans import BARE, BELOW, UNION


@dataclass(slots=True, kw_only=True)
class Cache:
    """A cache with one entry, or none. first: its weights and its record, as they were in the beginning.

    pinned: no collection may take it; where it begins damaged, what is made anew is what counts.
    """

    folder: Path
    place: str
    beginning: str
    pinned: bool
    first: tuple[bytes, bytes] | None = None
    _undo: ExitStack = field(default_factory=ExitStack)

    @property
    def root(self) -> Path:
        return self.folder / "cache"

    @property
    def below(self) -> Sequence[Path]:
        return [self.folder / "below"] if self.place == BELOW else []

    @property
    def _entry(self) -> Path:
        return Store(self.root).tiers[0].entry_folder(KEY)

    def set_up(self) -> None:
        rmtree(self.folder, ignore_errors=True)
        self.root.mkdir(parents=True)
        lower = self.folder / "lower" if self.place == UNION else self.root
        lower.mkdir(exist_ok=True)
        if self.beginning != "nothing":
            made = publish_as("who made it first", Store(lower))
            self._damage(made.weights, made.path / "entry.json")
        if self.place == UNION:
            mount_union(self.root, lower, scratch=self.folder)
            self._undo.callback(unmount, self.root)
        if self.place == BARE:
            self._undo.enter_context(mock.patch.object(exchange, "_renameat2", return_value=errno.ENOSYS))
        for root in self.below:
            publish_as("who made it below", Store(root))
        if self.pinned:
            Store(self.root).pin(KEY)
        Store(self.root).lease(KEY).release()  # it was in use before: there is a folder of leases to look into

    def take_down(self) -> None:
        self._undo.close()

    def excuses(self, loaded: Loaded) -> bool:
        """It is the damage that was there from the beginning, which a load without verify=True does not look for."""
        if loaded.verified or self.first is None or self.beginning != "a flipped bit":
            return False
        return (loaded.data, loaded.record) == (self.first[0], Record.parse(self.first[1]))

    def wrong(self) -> Iterator[str]:
        """What went against a promise, now that all calls have ended."""
        there = self._there()
        if there is not None and there != self.first:
            loaded = Loaded(data=there[0], record=Record.parse(there[1]), verified=True)
            if not loaded.is_right:
                yield f"the entry holds other bytes than its record says: {loaded.record}"
        if self.pinned and self.beginning == "sound" and there != self.first:
            yield "what was sound and pinned is not there any more"
        if self.pinned and self.beginning != "sound" and there in (None, self.first):
            yield "what was made anew and is pinned is not there any more"
        for verify in (False, True):
            yield from self._wrong_with_a_load(verify=verify)

    def wrong_with_bundle(self, bundle: bytes) -> str | None:
        """What is wrong with what an export has made, beside that nobody may import it."""
        rmtree(self.folder / "elsewhere", ignore_errors=True)
        store = Store(self.folder / "elsewhere")
        try:
            [imported] = import_bundle(store, io.BytesIO(bundle), Path("models.tar")).entries
        except DepthHubError as error:
            return f"an export that ended well cannot be imported: {error}"
        made = imported.entry.record
        right = made.weights_sha256 == sample_sha256(made.about["maker"], SIZE)
        return None if right else f"an export holds other bytes than its record says: {made}"

    def _there(self) -> tuple[bytes, bytes] | None:
        """Weights and record; None where it is not there, or half."""
        try:
            return (self._entry / "weights.safetensors").read_bytes(), (self._entry / "entry.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _wrong_with_a_load(self, *, verify: bool) -> Iterator[str]:
        caller = Caller(root=self.root, below=self.below, maker="who came last", bundle=b"", exported=[], leases=[])
        loaded = caller.load(verify=verify)
        if loaded is None:
            yield f"a load after it all gave up (verify={verify})"
        elif not loaded.is_right and not self.excuses(loaded):
            yield f"a load after it all was given other bytes than its record says (verify={verify}): {loaded.record}"

    def _damage(self, weights: Path, record: Path) -> None:
        """Damage the entry as the beginning says; times are as real damage leaves them."""
        data = bytearray(weights.read_bytes())
        match self.beginning:
            case "a flipped bit":
                data[-5] ^= 64
                weights.write_bytes(data)
            case "a damaged header":
                data[20] ^= 1
                weights.write_bytes(data)
            case "no record":
                record.unlink()
            case "no weights":
                weights.unlink()
        if weights.exists() and record.exists():
            self.first = weights.read_bytes(), record.read_bytes()
