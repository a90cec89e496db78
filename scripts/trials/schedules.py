"""Calls at the same time in one cache, step by step in every order: who takes turns, waits, is refused, is killed.

Loads, verified ones, makers of other bytes under the same key, verification, removal, collection, bundles; without
locks. Each schedule begins with an entry that is sound, damaged, half, pinned or missing: in one tier, on a union
mount, above a tier that has it too. No load may be given bytes that its record does not name.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .children import DEADLINE, Tell, in_a_child, many
from .mounts import mount_memory, why_no_mounts
from .no_locks import turn_off_locks
from .ready import get_ready
from .report import Report
from .trial import Count, Options
from .turns import Killed, Turns, watch_steps
from .workplace import workplace

if TYPE_CHECKING:
    from .schedules_cache import Cache
    from .schedules_plans import Schedule

COUNTS = {
    "schedules": Count(short=250, full=40_000),
    "comebacks": Count(short=80, full=20_000),
    "repairs": Count(short=80, full=25_000),
    "second-looks": Count(short=80, full=10_000),
}
SWITCHES: dict[str, str] = {}

_AT_ONCE = 2
_BATCH = 200
_SCHEDULES = "schedules"

_MUST = ("loads that were right", "killed between two steps", "refused by the system", "held up until others ended")
_MUST += ("began sound and pinned, and was so at the end", "made anew and pinned, and was there at the end")
_MUST += ("exported whole",)
_EXCUSED = "loads of damage that no quick check sees"  # one of some hundred


@dataclass(frozen=True, slots=True)
class Found:
    """What a batch of schedules did, and what went against a promise: under which row, in a sentence."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Found) -> None:
        self.done.update(other.done)
        self.wrong.extend(other.wrong)


def run(options: Options) -> Report:
    report = Report("schedules")
    with workplace(options) as folder:
        get_ready(folder)
        from .schedules_plans import PLACES, UNION, comebacks, drawn, repairs, second_looks

        missing = in_a_child(lambda _: why_no_mounts()).value
        places = tuple(place for place in PLACES if missing is None or place != UNION)
        seeds = range(options.seed, options.seed + options["schedules"])
        schedules = [drawn(seed, places) for seed in seeds]
        schedules += _some(comebacks(), options["comebacks"], options)
        schedules += _some(second_looks(), options["second-looks"], options)
        if missing is None:
            schedules += _some(repairs(), options["repairs"], options)
        else:
            report.note(f"the schedules on union mounts are missing: {missing}")
        batches = [schedules[at : at + _BATCH] for at in range(0, len(schedules), _BATCH)]
        works = (partial(_batch, folder / f"batch{number}", batch) for number, batch in enumerate(batches))
        found = Found()
        for ended in many(works, at_once=min(_AT_ONCE, os.cpu_count() or 1), seconds=5 * DEADLINE):
            if ended.how == "done":
                found.add(ended.value)
            else:
                report.violated(_SCHEDULES, str(ended))
    for what, count in sorted(found.done.items(), key=lambda item: (not item[0].startswith(_SCHEDULES), item)):
        report.did(what, count)
    for what, wrong in found.wrong:
        report.violated(what, wrong)
    for what in _MUST if options.short else (*_MUST, _EXCUSED):
        report.require(what)
    return report


def _some(every: Iterable[Schedule], count: int, options: Options) -> list[Schedule]:
    """So many of them, in any order; all if they are not more."""
    schedules = list(every)
    return options.random().sample(schedules, min(count, len(schedules)))


def _batch(folder: Path, batch: Sequence[Schedule], _: Tell) -> Found:
    """Schedules in a process of its own, with mounts of its own."""
    folder.mkdir()
    if why_no_mounts() is None:
        mount_memory(folder, "size=64m")
    turn_off_locks(lambda _: None)
    watch_steps()
    _take(batch[0], folder / "schedule", Found())  # what a process does once is done
    found = Found()
    for schedule in batch:
        _take(schedule, folder / "schedule", found)
    return found


def _take(schedule: Schedule, folder: Path, found: Found) -> None:
    """Take the turns of a schedule; judge what each call was given, and what is left."""
    from .schedules_acts import ACTS, Caller, bundle_of
    from .schedules_cache import Cache

    chance = random.Random(schedule.seed)
    os.urandom = chance.randbytes  # which names are drawn decides in which order a folder is gone through
    cache = Cache(folder=folder, place=schedule.place, beginning=schedule.beginning, pinned=schedule.pinned)
    cache.set_up()
    bundle = bundle_of("who made the bundle", folder / "of the bundle")
    callers = [
        Caller(root=cache.root, below=cache.below, maker=f"call {n}", bundle=bundle, exported=[], leases=[])
        for n in range(len(schedule.acts))
    ]
    turns = Turns(schedule.plan, chance, cache.root)
    ends = turns.take([partial(ACTS[act], caller) for act, caller in zip(schedule.acts, callers, strict=True)])
    _count(schedule, turns, found.done)
    wrong = [*_wrong_ends(cache, schedule.acts, ends, found.done), *cache.wrong()]
    for made in (made for caller in callers for made in caller.exported):
        found.done["exported whole"] += 1
        wrong += [problem] if (problem := cache.wrong_with_bundle(made)) else []
    how = (
        "began sound and pinned, and was so" if schedule.beginning == "sound" else "made anew and pinned, and was there"
    )
    found.done[f"{how} at the end"] += schedule.pinned and not wrong
    cache.take_down()
    found.wrong.extend((f"{_SCHEDULES}: {schedule.place}", f"{what} ({schedule})") for what in wrong)


def _wrong_ends(cache: Cache, acts: Sequence[str], ends: list[Any], done: Counter[str]) -> Iterator[str]:
    """What went against a promise in what the calls were given, or raised."""
    from depthhub_cache.errors import DepthHubError

    from .schedules_acts import Loaded

    for act, end in zip(acts, ends, strict=True):
        if isinstance(end, Killed):
            done["killed between two steps"] += 1
        elif isinstance(end, DepthHubError):
            done["ended in one of our errors"] += 1
        elif isinstance(end, BaseException):
            yield f"{act} raised {type(end).__name__}: {end}"
        elif isinstance(end, Loaded) and end.is_right:
            done["loads that were right"] += 1
        elif isinstance(end, Loaded) and cache.excuses(end):
            done[_EXCUSED] += 1
        elif isinstance(end, Loaded):
            yield f"{act} was given other bytes than its record says: {end.record}"


def _count(schedule: Schedule, turns: Turns, done: Counter[str]) -> None:
    done[f"{_SCHEDULES}: {schedule.place}"] += 1
    done["steps in the file system"] += turns.steps
    done["refused by the system"] += turns.refusals
    done["held up until others ended"] += turns.held_up
    done["went on out of turn"] += turns.out_of_turn
    for act in schedule.acts:
        done[f"call: {act}"] += 1
