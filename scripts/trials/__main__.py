"""Tries to break the cache, and counts: `scripts/torture TRIAL [--short] [--seed N]`, or `all`.

A full run takes minutes; `--short` takes seconds and is in the test suite. Ends with 1 where there was any violation.
`scripts/torture TRIAL --help` says what a trial does and takes.
"""

from __future__ import annotations

import argparse
import importlib
import secrets
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from .machine_facts import machine_facts
from .report import Report
from .trial import Count, Options, Trial
from .workplace import place_of

TRIALS = ("kill", "race", "disk-full", "read-only", "hub", "flip", "fsync", "machine", "schedules", "answers", "fuzz")
"""Each is the module of its name; `trial.py` says what it must have."""


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    chosen, _ = _parser(help=not set(argv) & set(TRIALS)).parse_known_args(argv)
    if chosen.trial == "all":
        failed = [_run(name, trial, options) for name in TRIALS for trial, options in _all_ways(name, argv)]
    else:
        trial = _trial(chosen.trial)
        failed = [_run(chosen.trial, trial, _options(trial, argv))]
    return 1 if any(failed) else 0


def _all_ways(name: str, argv: Sequence[str]) -> list[tuple[Trial, Options]]:
    """A trial as it is, and with each of its switches."""
    trial = _trial(name)
    options = _options(trial, argv)
    switched = [replace(options, switches=frozenset([switch])) for switch in _switches(trial)]
    return [(trial, way) for way in (options, *switched)]


def _run(name: str, trial: Trial, options: Options) -> bool:
    """Run one and print its table; whether it failed."""
    words = [name, *(f"--{switch}" for switch in sorted(options.switches)), *(["--short"] if options.short else [])]
    again = [*words, f"--seed {options.seed}", *(f"--{count} {number}" for count, number in options.counts.items())]
    facts = machine_facts(place_of(options))
    try:
        report = trial.run(options)
    except Exception:  # noqa: BLE001  the other trials are to run all the same
        report = Report(name)
        report.violated("the trial itself", traceback.format_exc())
    report.end()
    facts["again"] = f"`scripts/torture {' '.join(again)}`"
    print(report.text(title=" ".join(words), facts=facts), flush=True)
    return report.failed


def _options(trial: Trial, argv: Sequence[str]) -> Options:
    parser = _parser(help=True, description=trial.__doc__)
    for count, number in _counts(trial).items():
        default = f"default {number.full:,}, or {number.short:,} with --short"
        parser.add_argument(f"--{count}", dest=count, type=int, metavar="N", help=default)
    for switch, meaning in _switches(trial).items():
        parser.add_argument(f"--{switch}", dest=switch, action="store_true", help=meaning)
    args = parser.parse_args(argv)
    given = vars(args)
    counts = {name: number.short if args.short else number.full for name, number in _counts(trial).items()}
    counts |= {name: given[name] for name in counts if given[name] is not None}
    return Options(
        short=args.short,
        seed=secrets.randbelow(1 << 32) if args.seed is None else args.seed,
        folder=args.folder,
        counts=counts,
        switches=frozenset(switch for switch in _switches(trial) if given[switch]),
    )


def _parser(*, help: bool, description: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/torture",
        description=description or __doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=help,
    )
    parser.add_argument("trial", choices=(*TRIALS, "all"))
    parser.add_argument("--short", action="store_true", help="some seconds: enough to see that it runs")
    parser.add_argument("--seed", type=int, metavar="N", help="same number, same choices (default: a new one, printed)")
    parser.add_argument("--folder", type=Path, help="where to make temporary folders (default: in memory, if it can)")
    return parser


def _trial(name: str) -> Trial:
    return cast(Trial, importlib.import_module(f"{__package__}.{name.replace('-', '_')}"))


def _counts(trial: Trial) -> Mapping[str, Count]:
    return getattr(trial, "COUNTS", {})


def _switches(trial: Trial) -> Mapping[str, str]:
    return getattr(trial, "SWITCHES", {})


if __name__ == "__main__":
    sys.exit(main())
