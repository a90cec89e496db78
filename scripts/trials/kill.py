"""SIGKILL of a real process at random instants of everything that writes, and a look at what is left.

After each kill every byte that is visible is verified; a sweep must leave no rubbish; whoever waited for the dead
process goes on; and the same work, done again, succeeds with the right bytes.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from .children import Child, Ended, Tell, in_a_child
from .ready import get_ready
from .report import Report
from .trial import Count, Options
from .workplace import workplace

if TYPE_CHECKING:
    from .jobs import Job

COUNTS = {"kills": Count(short=13, full=1000)}
SWITCHES: dict[str, str] = {}

_CALIBRATIONS = 3
_ATTEMPTS = 20
_END = "the end"
_BYSTANDER_EVERY = 5
"""At one in so many kills another process is about the same work."""


def run(options: Options) -> Report:
    report = Report("kill")
    chance = options.random()
    with workplace(options) as folder:
        get_ready(folder)
        with _jobs(folder) as jobs:
            targets = [(job, stage) for job in jobs for stage in job.stages]
            for _, stage in targets:
                report.did(f"killed: {stage}", 0)
            durations = _measured(jobs, folder, 1 if options.short else _CALIBRATIONS)
            quota = -(-options["kills"] // len(targets))
            for job, stage in targets * quota:
                _kill_within(job, stage, durations[stage], folder / "cache", chance, report)
    for _, stage in targets:
        report.require(f"killed: {stage}", at_least=quota)
    for what in ("absent after the kill", "whole after the kill", "waited for the one that was killed, and went on"):
        report.require(what)
    return report


@contextmanager
def _jobs(folder: Path) -> Iterator[list[Job]]:
    from depthhub.testing import Fault

    from .hub_process import hub_process
    from .jobs import ColdCall, Collecting, Importing, Remembering
    from .samples import FILE, offer

    with hub_process() as hub:
        known = offer(hub, folder)
        hub.call("inject", Fault.trickle(size=50_000, pause=0.003), times=None, path=FILE)
        yield [
            ColdCall(known),
            ColdCall(known, keep_source=True),
            Remembering(),
            Collecting(),
            Importing(folder),
        ]


def _measured(jobs: list[Job], folder: Path, times: int) -> dict[str, float]:
    """Seconds that each stage takes at most, undisturbed: the time from its mark to the next."""
    durations: dict[str, float] = {}
    for number in range(times):
        for job in jobs:
            root = folder / f"calibration{number}"
            job.prepare(root)
            ended = in_a_child(partial(_work, job, root))
            if ended.how != "done":
                raise RuntimeError(f"an undisturbed call {ended}")
            for (at, stage), (after, _) in pairwise(ended.marks):
                durations[stage] = max(durations.get(stage, 0.0), after - at)
    return durations


def _kill_within(job: Job, stage: str, duration: float, root: Path, chance: random.Random, report: Report) -> None:
    """Kill processes until one was killed within `stage`; those that were killed before or after it count too."""
    before = report.done(f"killed: {stage}")
    for attempt in range(_ATTEMPTS):  # earlier each time: it may have been too late
        _kill_once(job, stage, duration / (1 + attempt), root, chance, report)
        if report.done(f"killed: {stage}") > before:
            return


def _kill_once(job: Job, stage: str, duration: float, root: Path, chance: random.Random, report: Report) -> None:
    """Kill one process, most likely within `stage`, and look."""
    from depthhub_cache.store import Store

    from .soundness import unsound

    if chance.random() < 0.5:  # else among what earlier kills have left
        rmtree(root, ignore_errors=True)
    job.prepare(root)
    waiting, go = os.pipe()
    victim = Child(partial(_work, job, root, stop_at=stage, waiting=waiting))
    bystander = None
    victim.wait_for(stage)
    if report.done("swept") % _BYSTANDER_EVERY == 0:
        bystander = Child(partial(_work, job, root))
    os.write(go, b".")
    time.sleep(chance.uniform(0, duration))
    ended = victim.kill()
    os.close(waiting)
    os.close(go)
    at = _stage_of(ended)
    if at is not None:
        report.did(f"killed: {at}")
    else:
        report.did("had ended before it was killed")
    what = f"killed: {at or stage}"
    for wrong in unsound(Store(root), expected=job.expected):
        report.violated(what, wrong)
    report.did("whole after the kill" if list(Store(root).keys()) else "absent after the kill")
    if bystander is not None:
        _expect_done(bystander.end(), "waited for the one that was killed, and went on", report)
    _sweep_and_work_again(job, root, what, chance, report)


def _sweep_and_work_again(job: Job, root: Path, what: str, chance: random.Random, report: Report) -> None:
    """In either order: what is swept must not be missed, and what is left must not be in the way."""
    from depthhub_cache.store import Store

    from .soundness import rubbish, unsound

    store = Store(root)
    steps = ["sweep", "again"] if chance.random() < 0.5 else ["again", "sweep"]
    for step in steps:
        if step == "sweep":
            store.sweep()
            report.did("swept")
            for left in rubbish(store):
                report.violated("swept", f"{what}: {left}")
        else:
            _expect_done(in_a_child(partial(_work, job, root)), "done again, with the right bytes", report)
            for wrong in (*job.unfinished(root), *unsound(store, expected=job.expected)):
                report.violated("done again, with the right bytes", f"{what}: {wrong}")


def _work(job: Job, root: Path, tell: Tell, *, stop_at: str | None = None, waiting: int = -1) -> None:
    """stop_at: a mark at which it waits once, so that who kills it knows where it is and not where it was."""
    stopped = False

    def told(mark: str) -> None:
        nonlocal stopped
        tell(mark)
        if mark == stop_at and not stopped:
            stopped = True
            os.read(waiting, 1)

    job.work(root, told)
    tell(_END)


def _expect_done(ended: Ended, what: str, report: Report) -> None:
    report.did(what)
    if ended.how != "done":
        report.violated(what, str(ended))


def _stage_of(ended: Ended) -> str | None:
    """Where it was when it was killed; None where it was not."""
    if ended.how != "killed" or ended.last_mark == _END:
        return None
    return ended.last_mark or "starting"
