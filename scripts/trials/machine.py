"""Random interleavings of all that a store can do, against a plain model of it: a Hypothesis stateful machine.

Publish, get, lease, release, pin, collect, verify, set aside, corrupt, crash, sweep, remember, export, import, with a
tier below. After every step the store has to hold what the model holds; a difference is told, in a full run with the
shortest way there.
"""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
from collections import Counter
from unittest import mock

from tests.cache.store_machine import run_machine

from depthhub_cache import collection

from .report import Report
from .trial import Count, Options

COUNTS = {"steps": Count(short=600, full=50_000)}

_EXAMPLES = 40
_STEPS = 60
_PATIENCE = 5
_MUST = ("grew", "shrank", "collected", "set aside", "spared: in use", "spared: pinned", "import: imported")
_MUST += ("replaced", "import refused", "crash", "verify", "distrust", "release")


def run(options: Options) -> Report:
    """Runs with one seed after the other, until there were steps enough; then the control."""
    report = Report("machine")
    logging.disable(logging.CRITICAL)
    try:
        done: Counter[str] = Counter()
        number = options.seed
        must = ("grew", "shrank") if options.short else _MUST
        most = _PATIENCE * options["steps"]  # which steps a seed takes is chance
        while (
            done["steps"] < (options["steps"] if all(done[what] for what in must) else most) and not report.violations
        ):
            found, difference = _round(number, shrink=not options.short)
            done.update(found)
            if difference is not None:
                report.violated("steps", f"seed {number}: {difference}")
            number += 1
        for what, count in sorted(done.items(), key=lambda item: (item[0] != "steps", item[0])):
            report.did(what, count)
        for what in must:
            report.require(what)
        control = "control: a collection that removes what is pinned or in use was found out"
        with mock.patch.object(collection, "why_held", return_value=None):
            rounds = (_round(number + later, shrink=False) for later in range(_PATIENCE))
            report.did(control, any(difference is not None for _, difference in rounds))
        report.require(control)
    finally:
        logging.disable(logging.NOTSET)
    return report


def _round(number: int, *, shrink: bool) -> tuple[Counter[str], str | None]:
    """What was done; where store and model differed, if they did, and the way there."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            return run_machine(examples=_EXAMPLES, steps=_STEPS, number=number, shrink=shrink), None
    except Exception:  # noqa: BLE001  an assertion, or whatever a store should not raise
        return Counter(), f"{traceback.format_exc()}\n{said.getvalue()}"
