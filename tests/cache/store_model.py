"""What a store has to hold, as plain data: the model of `store_machine.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from depthhub_cache.leases import Lease


@dataclass
class Thing:
    """An entry as the model knows it. turn: which publication it is. damage: what was done to it; `flipped` shows only
    to deep verification. used: when, seconds of the machine's clock.
    """

    turn: int
    damage: str | None = None
    used: float = 0.0

    @property
    def is_given(self) -> bool:
        """Whether the quick check passes it."""
        return self.damage in (None, "flipped")


@dataclass
class Bundle:
    """One that was exported, and what it holds."""

    data: bytes
    entries: dict[str, int]
    refs: dict[str, dict[str, int]]


@dataclass
class Model:
    """What is in the store. own, lower: by name. leases: those of this process, and those of living ones elsewhere.

    passed_by: names in the lower tier that this Store does not believe any more. rubbish, elsewhere: how many staging
    directories are of processes that have ended, and of those that nobody here can judge.
    """

    own: dict[str, Thing] = field(default_factory=dict)
    lower: dict[str, Thing] = field(default_factory=dict)
    passed_by: set[str] = field(default_factory=set)
    refs: dict[str, dict[str, int]] = field(default_factory=dict)
    broken_refs: set[str] = field(default_factory=set)
    lost_refs: set[str] = field(default_factory=set)
    lower_refs: dict[str, dict[str, int]] = field(default_factory=dict)
    pins: set[str] = field(default_factory=set)
    leases: dict[str, list[Lease]] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    rubbish: int = 0
    elsewhere: int = 0
    quarantine: int = 0
    bundles: list[Bundle] = field(default_factory=list)

    def given(self, name: str) -> tuple[str, Thing] | None:
        """The tier and the entry that `get` gives."""
        if name in self.own and self.own[name].is_given:
            return "own", self.own[name]
        if name in self.lower and self.lower[name].is_given and name not in self.passed_by:
            return "lower", self.lower[name]
        return None

    def first(self, name: str) -> tuple[str, Thing] | None:
        """The first tier that has something under a name, broken or not."""
        return (
            ("own", self.own[name]) if name in self.own else ("lower", self.lower[name]) if name in self.lower else None
        )

    def recalled(self, name: str) -> dict[str, int] | None:
        """A damaged or lost answer is none, whatever the tier below says."""
        if name in self.broken_refs:
            return None
        return self.refs.get(name, None if name in self.lost_refs else self.lower_refs.get(name))

    def held(self, name: str) -> str | None:
        if name in self.pins:
            return "pinned"
        return "in use" if self.leases.get(name) or name in self.foreign else None


@dataclass
class Collection:
    """names in the order in which they go, or stay though they should go; bytes that are left."""

    left: int
    freed: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
