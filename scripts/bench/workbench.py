"""What all sections share: the options, the material, and how jobs are run, interleaved and warmed up."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import fresh
from .fresh import Job
from .material import Material
from .plots import Plots
from .series import Series
from .ways import BY_HUB_FILE, BY_PATH, FIRST_CALL, TUNED, Way, ways_for

_TO_READY = ("torch", "safetensors", "memory:base", "imports", "run", "memory:ready", "touch", "memory:touched")
_TO_DEPTH = ("torch", "imports", "run", "depth:first")


@dataclass(slots=True, kw_only=True)
class Workbench:
    """folder: for everything that is made. runs: of each kind; slow_runs: of what takes seconds. forwards: depth maps
    after the first. cold: nothing that is read is in the page cache. imported: modules, by label.
    """

    folder: Path
    material: Mapping[str, Material]
    plots: Plots
    runs: int
    slow_runs: int
    forwards: int
    quick: bool
    cold: bool = False
    imported: dict[str, list[str]] = field(default_factory=dict)
    _found: dict[tuple[str, str], dict[str, Series]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @property
    def sizes(self) -> list[str]:
        """From the smallest to the largest."""
        return sorted(self.material, key=lambda size: self.material[size].bytes)

    @property
    def depth_sizes(self) -> list[str]:
        """Whose forwards are measured: a large one takes some ten seconds on two cores."""
        return self.sizes[:1] if self.quick else self.sizes

    @property
    def smallest(self) -> Material:
        return self.material[self.sizes[0]]

    @property
    def largest(self) -> Material:
        return self.material[self.sizes[-1]]

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {text}", file=sys.stderr, flush=True)

    def ready(self, size: str) -> dict[str, Series]:
        """Every way to a ready model, by label: seconds, and memory before and after every page is touched."""
        skipped = (BY_HUB_FILE, FIRST_CALL, TUNED) if self.quick else ()
        ways = {label: way for label, way in ways_for(self.material[size]).items() if label not in skipped}
        return self._once("ready", size, ways, _TO_READY, runs=self.runs, slow_runs=self.slow_runs)

    def depth(self, size: str) -> dict[str, Series]:
        """Every way to a first depth map, and to some more."""
        skipped = (BY_PATH, BY_HUB_FILE, FIRST_CALL, *((TUNED,) if self.quick else ()))
        ways = {
            label: way for label, way in ways_for(self.material[size]).items() if way.is_model and label not in skipped
        }
        more = tuple(f"depth:{number}" for number in range(self.forwards))
        return self._once("depth", size, ways, _TO_DEPTH + more, runs=self.slow_runs, slow_runs=self.slow_runs)

    def interleaved(
        self, jobs: Mapping[str, Job], *, runs: int, slow: Sequence[str] = (), slow_runs: int = 0
    ) -> dict[str, Series]:
        """What fresh processes found that did each of the `jobs` so often, in rounds. slow: labels that run
        `slow_runs` times only. Before the first of its label one process runs, for warmth and to learn what it imports.
        """
        jobs = {label: self.learned(label, job) for label, job in jobs.items()}
        found: dict[str, list[dict[str, Any]]] = {label: [] for label in jobs}
        for number in range(max(runs, slow_runs)):
            for label, job in jobs.items():
                if number < (slow_runs if label in slow else runs):
                    found[label].append(fresh.run(job, folder=self.folder, cold=self.cold))
        return {label: Series(facts) for label, facts in found.items()}

    def learned(self, label: str, job: Job) -> Job:
        """`job`, with what an earlier process of its kind has imported; that runs now, where none did."""
        if label not in self.imported:
            steps = tuple(step for step in job.steps if step in ("torch", "imports", "run", "depth:first"))
            self.say(f"    warm-up: {label}")
            facts = fresh.run(replace(job, steps=(*steps, "imported")), folder=self.folder)
            self.imported[label] = facts["imported"]
        return replace(job, imported=self.imported[label])

    def _once(
        self, kind: str, size: str, ways: Mapping[str, Way], steps: tuple[str, ...], *, runs: int, slow_runs: int
    ) -> dict[str, Series]:
        if (kind, size) not in self._found:
            self.say(f"{kind}, {size}: {', '.join(ways)}")
            jobs = {label: way.job(self.material[size], steps) for label, way in ways.items()}
            slow = [label for label, way in ways.items() if way.slow]
            self._found[kind, size] = self.interleaved(jobs, runs=runs, slow=slow, slow_runs=slow_runs)
        return self._found[kind, size]
