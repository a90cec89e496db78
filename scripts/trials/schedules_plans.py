"""Which schedules are tried: drawn by chance, and every way in which three repair one entry and one is held up."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
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
_CHANGES = 16
"""So many steps, and changes among them, a call takes at most, but for few."""


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
    """Every one of three acts on a union mount; the first is held up at a change until one or both others have ended,
    and if it was one, soon again until the other has.
    """
    for beginning, acts in product(("a flipped bit", "a damaged header"), product(REPAIRS, repeat=3)):
        for at, again in product(range(1, _CHANGES), (None, 0, 1, 2, 3)):
            waits = {(0, at): 2} if again is None else {(0, at): 1, (0, at + again): 1}
            plan = Plan(changes=True, switch=0.0, in_order=True, waits=waits)
            yield Schedule(seed=0, place=UNION, beginning=beginning, pinned=False, acts=acts, plan=plan)


def _plan(chance: random.Random, calls: int) -> Plan:
    """Either few calls that are held up for long, or many switches; sometimes refusals, sometimes a kill."""
    held = chance.random() < 0.6
    changes = chance.random() < (0.8 if held else 0.3)
    steps = _CHANGES if changes else _STEPS
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
    return Plan(changes=changes, switch=switch, waits=waits, refused=refused, killed=killed)
