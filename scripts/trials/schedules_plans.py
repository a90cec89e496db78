"""Which schedules are tried: some are drawn by chance, and of three kinds there is every one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from .schedules_acts import ACTS, GENTLE, REPAIRS
from .turns import At, Plan

BARE, BELOW, UNION = "no exchange", "below", "union"
PLACES = ("plain", BARE, BELOW, UNION)
"""One tier; the same where no two names can be exchanged; above another that has the entry too; a union mount, whose
lower layer has it.
"""

BEGINNINGS = ("nothing", "sound", "a flipped bit", "a damaged header", "no record", "no weights")

_STEPS = 200
_FEW = 20
"""So many steps, and few that count, a call takes until it is done with an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A cache to begin with, what is done in it at the same time, and who goes on when."""

    seed: int
    place: str
    beginning: str
    pinned: bool
    acts: Sequence[str]
    plan: Plan

    def __str__(self) -> str:
        pinned = ", pinned" if self.pinned else ""
        return (
            f"seed {self.seed}: {self.place}, begins with {self.beginning}{pinned}: {', '.join(self.acts)}; {self.plan}"
        )


def drawn(seed: int, places: Sequence[str]) -> Schedule:
    """Damage is repaired by several at once, most often on a union mount."""
    chance = random.Random(seed)
    beginning = chance.choice(BEGINNINGS)
    pinned = beginning == "sound" and chance.random() < 0.5
    repaired = beginning not in ("nothing", "sound") and chance.random() < 0.7
    place = places[-1] if repaired and chance.random() < 0.5 else chance.choice(places)
    acts = chance.choices(list(GENTLE if pinned else REPAIRS if repaired else ACTS), k=chance.randint(2, 5))
    plan = _plan(chance, len(acts))
    return Schedule(seed=seed, place=place, beginning=beginning, pinned=pinned, acts=acts, plan=plan)


def repairs() -> Iterator[Schedule]:
    """Every one of three acts on a union mount; the first is held up until one or both others have ended, and if it was
    one, soon again until the other has.
    """
    for beginning, acts in product(("a flipped bit", "a damaged header"), product(REPAIRS, repeat=3)):
        for at, again in product(range(1, _FEW), (None, 0, 1, 2, 3)):
            yield _in_order(UNION, beginning, acts, {(0, at): 2} if again is None else {(0, at): 1, (0, at + again): 1})


def comebacks() -> Iterator[Schedule]:
    """Every one in which a damaged entry is verified, or imported, while a collection has it in its hands; both are
    held up, the one twice, while two others make it anew or remove it.
    """
    others = [("make", "remove --force")] * 2
    for acts in product(("load, verified", "import"), ("collect", "remove"), *others):
        for at, again, hands in product(range(1, 5), range(1, 5), range(3, 12)):
            for first, second, third in product((1, 2), repeat=3):
                waits = {(0, at): first, (0, at + again): second, (1, hands): third}
                yield _in_order("plain", "a flipped bit", acts, waits)


def second_looks() -> Iterator[Schedule]:
    """Every one in which what was found damaged, and is pinned, has been made anew before it is set aside, and others
    make room while it is looked at once more.
    """
    finds, makes = ("verify --deep", "load, verified"), ("make", "load, verified", "import")
    acts = product(finds, makes, ("collect", "clear"), ("collect", "clear", "verify --deep"))
    for place, four, at, again, last in product(("plain", BARE), acts, range(1, 8), range(1, 6), range(2)):
        waits = {(0, at): 1, (0, at + again): 1} | ({(0, at + again + 1): 1} if last else {})
        yield _in_order(place, "a flipped bit", four, waits, pinned=True)


def _in_order(
    place: str, beginning: str, acts: Sequence[str], waits: Mapping[At, int], *, pinned: bool = False
) -> Schedule:
    plan = Plan(few=True, switch=0.0, in_order=True, waits=waits)
    return Schedule(seed=0, place=place, beginning=beginning, pinned=pinned, acts=acts, plan=plan)


def _plan(chance: random.Random, calls: int) -> Plan:
    """Either few calls that are held up for long, or many switches; sometimes refusals, sometimes a kill."""
    held = chance.random() < 0.6
    few = chance.random() < (0.8 if held else 0.3)
    steps = _FEW if few else _STEPS
    switch = chance.choice((0.0, 0.02)) if held else chance.choice((0.2, 0.6, 1.0))
    waits: dict[At, int] = {}
    who, step = 0, 0
    for _ in range(chance.randint(1, 3) if held else chance.randint(0, 1)):
        if waits and chance.random() < 0.7:  # held up again soon: others are done with what it has begun
            step += chance.choice((1, 1, 2))
        else:
            who, step = chance.randrange(calls), 1 + min(chance.randrange(steps), chance.randrange(steps))
        waits[who, step] = chance.choice((1, 1, 2, 2, 3))
    refused = 0.01 if chance.random() < 0.2 else 0.0
    killed = (chance.randrange(calls), 1 + chance.randrange(steps)) if chance.random() < 0.2 else None
    return Plan(few=few, switch=switch, waits=waits, refused=refused, killed=killed)
