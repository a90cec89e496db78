"""Strange inputs for each parser of outside bytes: it may give something back, or refuse in the words that it promises.

Anything else is a violation: another error, more than its time or memory, a promise about what it gives back that does
not hold. Inputs are made of sound ones; what ended in a new place is kept, and strange inputs are made of that too.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .fuzz_target import Target
from .fuzz_targets import targets
from .mutations import Mutator
from .report import Report
from .trial import Count, Options
from .workplace import workplace

COUNTS = {"inputs": Count(short=10_000, full=1_000_000)}

_LARGEST = 4 << 20
"""Bytes of one input: what is made of what was made grows without an end, and its memory would count."""

_SECONDS = 2.0
"""Of the processor, for one input: how busy the machine is besides shows nothing of a parser."""

_MEBIBYTES = 256
_KEPT = 400
_CONTROL_INPUTS = 500


@dataclass(slots=True)
class Tally:
    """outcomes: how often it ended where. escapes: what it must not do, one of each kind in words. slowest: seconds."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    escapes: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0
    slowest_size: int = 0


def run(options: Options) -> Report:
    """Every parser with its share of the inputs; then one that checks nothing, to see that it is found out."""
    report = Report("fuzz")
    logging.disable(logging.CRITICAL)  # a warning for each input would be most of the work
    before = _peak()
    try:
        with workplace(options) as folder:
            chance = options.random()
            for target in targets(folder, chance):
                inputs = max(1, options["inputs"] * target.share // 1000)
                _tell(report, target, fuzz(target, inputs, chance))
            control = fuzz(_without_checks(chance), _CONTROL_INPUTS, chance)
    finally:
        logging.disable(logging.NOTSET)
    what = "control: ways in which a parser without checks was caught"
    report.did(what, len(control.escapes))
    report.require(what)
    grown = _peak() - before
    report.note(f"memory grew by {grown} MiB at most")
    if grown > _MEBIBYTES:
        report.violated("all parsers", f"memory grew by {grown} MiB; {_MEBIBYTES} are allowed")
    return report


def fuzz(target: Target, inputs: int, chance: random.Random) -> Tally:
    """Feed `target` its bombs, and so many inputs by chance."""
    tally, pool = Tally(), list(target.sound)
    target.parse(pool[0])  # else nothing that is made of it shows anything
    for data in target.bombs:
        tally.outcomes[_outcome(target, data, tally)] += 1
    for _ in range(inputs):
        data = target.change(chance.choice(pool), pool)[:_LARGEST]
        outcome = _outcome(target, data, tally)
        if outcome not in tally.outcomes and len(pool) < _KEPT:
            pool.append(data)
        tally.outcomes[outcome] += 1
    tally.inputs = len(target.bombs) + inputs
    return tally


def _outcome(target: Target, data: bytes, tally: Tally) -> str:
    """Where it ended; what must not be is noted."""
    began = time.process_time()
    try:
        target.parse(data)
        outcome = "given back"
    except target.refusals as error:
        outcome = _place_of(error)
    except Exception as error:  # noqa: BLE001  whatever it is, it is no refusal
        outcome = _place_of(error)
        tally.escapes.setdefault(outcome, f"{type(error).__name__}: {str(error)[:200]!r} for {_shown(data)}")
    seconds = time.process_time() - began
    if seconds > tally.slowest:
        tally.slowest, tally.slowest_size = seconds, len(data)
    if seconds > _SECONDS:
        tally.escapes.setdefault("slow", f"{seconds:.1f} s for {len(data):,} bytes: {_shown(data)}")
    return outcome


def _place_of(error: BaseException) -> str:
    """Its type, the line that raised it, and those that called for it: two inputs with the same ones end alike."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        lines.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__} {' '.join(lines[-4:])}"


def _tell(report: Report, target: Target, tally: Tally) -> None:
    report.did(target.name, tally.inputs)
    for escape in tally.escapes.values():
        report.violated(target.name, escape)
    refused = f"the others were refused in {len(tally.outcomes) - 1} ways"
    others = refused if target.refusals else "it refuses none, and takes what it cannot read for unknown"
    report.note(
        f"{target.name}: {tally.outcomes['given back']:,} inputs gave something back; {others}; "
        f"slowest {tally.slowest * 1e3:,.1f} ms ({tally.slowest_size:,} bytes)"
    )


def _without_checks(chance: random.Random) -> Target:
    sound = b'{"name": "vits", "sizes": [1, 2, 3]}'
    return Target(
        name="control",
        share=0,
        sound=[sound],
        change=Mutator(chance, tokens=[b"name", b"sizes"]).bytes,
        parse=lambda data: sum(json.loads(data)["sizes"]),
        refusals=(),
    )


def _shown(data: bytes) -> str:
    """Enough of an input to make it again, if it is short."""
    return repr(data) if len(data) <= 600 else f"{data[:400]!r} and {len(data) - 400:,} bytes more"


def _peak() -> int:
    """Mebibytes of memory that this process has used at most; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10
