"""The collection: what goes when the cache is larger than its budget, or older, and what stays all the same.

The longest unused goes first. What a living process has open, or a person has pinned, never does. What is set aside in
the quarantine is of no use to anybody, and goes before everything else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from collections.abc import Collection as Names
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import disk, leases, quarantine
from .errors import CacheError
from .identity import Key
from .reading import is_there
from .staging import fresh_path
from .tier import Tier

Kind = Literal["quarantine", "entry", "checkpoint"]

GONE = "removed by another process"
_QUARANTINE_DAYS = 30.0
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may stay. max_size: bytes of all that can be collected; max_age: seconds since its last use."""

    max_size: int | None = None
    max_age: float | None = None

    def __post_init__(self) -> None:
        if (self.max_size or 0) < 0 or (self.max_age or 0) < 0:
            raise ValueError("a budget cannot be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that can be collected. name: key, content hash, or name in the quarantine. last_used: seconds, Unix."""

    kind: Kind
    name: str
    path: Path
    bytes: int
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of an item, and why, in words. refused: the system did not let us remove it."""

    item: Item
    why: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The account of one collection. swept: bytes of rubbish that was removed beside. bytes: what is left of all items.

    spared: should have gone, and may not. In a dry run nothing was removed, and `freed` is what would have been.
    """

    freed: tuple[Decision, ...]
    spared: tuple[Decision, ...]
    swept: int
    bytes: int
    dry_run: bool

    @property
    def freed_bytes(self) -> int:
        return self.swept + sum(decision.item.bytes for decision in self.freed)


Lock = Callable[[Key], AbstractContextManager[object]]
"""Holds the lock of an entry if it is free: who misses what is being removed waits for it, and may find it put back."""


def collect(tier: Tier, budget: Budget, *, dry_run: bool, keep: Names[str], swept: int, lock: Lock) -> Collected:
    """Remove what `budget` has no room for. keep: names that stay, because they were made just now."""
    now = time.time()
    freed: list[Decision] = []
    spared: list[Decision] = []
    items = sorted(all_items(tier), key=lambda item: (item.kind != "quarantine", item.last_used, item.name))
    total = sum(item.bytes for item in items)
    for item in items:
        why = _why_to_remove(item, budget, total, now)
        if why is None:
            continue
        held, refused = "made just now" if item.name in keep else why_held(tier, item.kind, item.name), False
        if held is None and not dry_run:
            try:
                with lock(Key(item.name)) if item.kind == "entry" else nullcontext():
                    held = _remove(tier, item)
            except CacheError as error:
                held, refused = f"cannot be removed: {error}", True
        if held is None:
            freed.append(Decision(item=item, why=why))
        elif held is not GONE:  # else another collection has it in its account
            spared.append(Decision(item=item, why=held, refused=refused))
            continue
        total -= item.bytes
    return Collected(freed=tuple(freed), spared=tuple(spared), swept=swept, bytes=total, dry_run=dry_run)


def sizes(tier: Tier) -> tuple[int, int]:
    """Bytes of all that can be collected at some time, and of what can be now."""
    items = list(all_items(tier))
    free = [item for item in items if why_held(tier, item.kind, item.name) is None]
    return sum(item.bytes for item in items), sum(item.bytes for item in free)


def all_items(tier: Tier) -> Iterator[Item]:
    """Everything in `tier` that can be collected."""
    for key in list(tier.keys()):
        path = tier.entry_folder(key)
        yield _item("entry", key, path, last_use(tier, key))
    for content_hash, file in tier.kept_checkpoints():
        yield _item("checkpoint", content_hash, file.parent, _time_of(file.parent))
    for path in quarantine.all_set_aside(tier.folder("quarantine")):
        yield _item("quarantine", path.name, path, _time_of(path))


def last_use(tier: Tier, key: Key) -> float:
    """When an entry was used last, or was made; seconds, Unix, by the clock of whoever used it."""
    return max(_time_of(tier.entry_folder(key)), _time_of(tier.folder("used") / key))


def why_held(tier: Tier, kind: Kind, name: str) -> str | None:
    """Why something may not be removed now, in words. What cannot be told holds it too."""
    if kind == "quarantine":
        return None
    try:
        if kind == "entry" and is_there(tier.folder("pins") / name):
            return "pinned"
        owner = next(leases.holders(tier.folder("leases"), Key(name)), None)
    except OSError as error:
        return f"perhaps in use or pinned: {error.filename} cannot be read ({error.strerror})"
    return None if owner is None else f"in use by process {owner.pid} on {owner.host}"


def _why_to_remove(item: Item, budget: Budget, total: int, now: float) -> str | None:
    age = now - item.last_used
    if budget.max_size is not None and total > budget.max_size:
        return f"the cache is larger than {budget.max_size:,} bytes"
    if budget.max_age is not None and age > budget.max_age:
        return f"not used for {_in_words(age)}"
    if item.kind == "quarantine" and age > _QUARANTINE_DAYS * _DAY:
        return f"set aside {age / _DAY:.0f} days ago"
    return None


def _in_words(age: float) -> str:
    for unit, seconds in (("days", _DAY), ("hours", 3600.0)):
        if age >= seconds:
            return f"{age / seconds:.1f} {unit}"
    return f"{age / 60:.1f} minutes"


def take_unless_held(tier: Tier, kind: Kind, name: str, path: Path, *, to: Path) -> str | None:
    """Move something that is to be removed out of everybody's way, to `to`; else why it is not there.

    What somebody opened or pinned meanwhile goes back to its place. Raises CacheError where the system refuses.
    """
    if not disk.take_away(path, to):
        return GONE
    held = why_held(tier, kind, name)
    return held if held is not None and disk.publish_folder(to, path) else None


def _remove(tier: Tier, item: Item) -> str | None:
    """Remove an item; else why it is still there. Raises CacheError where the system refuses."""
    taken = fresh_path(tier.folder("tmp"))
    held = take_unless_held(tier, item.kind, item.name, item.path, to=taken)
    if held is not None:
        return held
    delete(tier, item.kind, item.name, taken)
    return f"out of use, but not all of it can be deleted yet: {taken}" if os.path.lexists(taken) else None


def delete(tier: Tier, kind: Kind, name: str, taken: Path) -> int:
    """Delete what was taken away, as far as the system lets us, and the mark of its use; bytes freed."""
    freed = disk.delete_tree(taken)
    if kind == "entry":
        with suppress(OSError):
            disk.remove_file(tier.folder("used") / name)
    return freed


def _item(kind: Kind, name: str, path: Path, last_used: float) -> Item:
    return Item(kind=kind, name=name, path=path, bytes=disk.tree_size(path), last_used=last_used)


def _time_of(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
