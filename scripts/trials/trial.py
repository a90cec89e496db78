"""What a trial is: a module of this package, named as its sub-command with `_` for `-`, that has what `Trial` lists.

    \"\"\"First line: what it does, for --help.\"\"\"

    COUNTS = {"kills": Count(short=30, full=1000)}          # becomes --kills N, and options["kills"]
    SWITCHES = {"no-locks": "locking made a no-op"}         # becomes --no-locks, and options.on("no-locks")

    def run(options: Options) -> Report:
        report = Report("kill")
        report.did("killed while downloading")
        report.violated("killed while downloading", "entry 4f2a... is half visible")
        report.require("killed while downloading", at_least=10)     # a trial that did nothing has shown nothing
        return report

Its name stands in the tuple TRIALS of `__main__.py`. Everything random comes from `options.random()`; files lie in
`workplace(options)`; other processes are started with `children.py`, which gives each a deadline.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often: in a short run, of some seconds, and in a full one."""

    short: int
    full: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked on the command line. folder: where to make temporary folders; None: in memory, if that can be."""

    short: bool
    seed: int
    folder: Path | None
    counts: Mapping[str, int]
    switches: frozenset[str]

    def __getitem__(self, count: str) -> int:
        return self.counts[count]

    def on(self, switch: str) -> bool:
        return switch in self.switches

    def random(self) -> random.Random:
        """The same sequence for the same seed."""
        return random.Random(self.seed)


class Trial(Protocol):
    """A module of this package."""

    __doc__: str | None
    COUNTS: Mapping[str, Count]
    SWITCHES: Mapping[str, str]

    def run(self, options: Options) -> Report: ...
