"""Branches that move, asked for in every way and order, on two machines that carry bundles to each other and share a
remote store.

Loads, prewarming, looks, refreshes, lockfiles, all with and without a network; killed calls, collections, removals,
damage, verification, bundles, pushes. Each answer has to be the one that was promised by then, and its numbers, to
the bit, those that an undisturbed conversion of that very file makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .ready import get_ready
from .report import Report
from .trial import Count, Options
from .workplace import workplace

if TYPE_CHECKING:
    from .answers_machines import Made
    from .hub_process import HubProcess

COUNTS = {"stories": Count(short=4, full=60), "steps": Count(short=60, full=120)}
SWITCHES: dict[str, str] = {}

_MUST = ("load", "prewarm", "look", "the Hub said no", "a branch moved")
_MUST_IN_FULL = ("lock", "load as locked", "killed", "offline, and not here", "collected", "removed", "damaged")
_MUST_IN_FULL += (
    "verified",
    "a bundle was carried",
    "pushed",
    "out of the remote store",
    "damaged in the remote store",
)


def run(options: Options) -> Report:
    """Stories with one seed after the other; each begins with empty caches and new repositories."""
    report = Report("answers")
    with workplace(options) as folder:
        get_ready(folder)
        from .answers_story import Story

        with _hub(folder) as (hub, made):
            for number in range(options["stories"]):
                story = Story(options.seed + number, folder / "story", hub, made, report)
                wrong = story.wrong_after(options["steps"])
                if wrong is not None:
                    report.violated("load", f"seed {options.seed + number}: {wrong}")
                if report.violations > 2:
                    break
    for what in _MUST if options.short else _MUST + _MUST_IN_FULL:
        report.require(what)
    return report


@contextmanager
def _hub(folder: Path) -> Iterator[tuple[HubProcess, Made]]:
    from .answers_machines import made_undisturbed
    from .hub_process import hub_process

    with hub_process() as hub:
        yield hub, made_undisturbed(folder)
