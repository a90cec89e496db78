"""What the runs of one kind found: medians and spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Facts: TypeAlias = Mapping[str, Any]
"""Of one run: seconds, bytes and shares by name."""


class Series:
    """The facts of several runs."""

    def __init__(self, runs: Sequence[Facts]) -> None:
        self.runs = list(runs)

    def values(self, *names: str) -> list[float]:
        """Of each run the sum of the facts `names`; nothing where a run has not all of them."""
        return [sum(run[name] for name in names) for run in self.runs if all(name in run for name in names)]

    def has(self, *names: str) -> bool:
        return bool(self.values(*names))

    def median(self, *names: str) -> float:
        return statistics.median(self.values(*names))

    def range(self, *names: str) -> tuple[float, float]:
        """The least and the most."""
        found = self.values(*names)
        return min(found), max(found)

    def growth(self, name: str, since: str) -> float:
        """The median of what `name` has more than `since`, within each run."""
        return float(statistics.median(run[name] - run[since] for run in self.runs))
