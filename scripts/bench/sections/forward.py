"""The forward of a loaded model, after its first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..probe import SIDE
from ..series import Series
from ..tables import Figure, Part, Table, duration, times
from ..ways import BY_NAME, ORIGINAL, RELEASED
from ..workbench import Workbench

Found: TypeAlias = Mapping[str, Mapping[str, Series]]
"""By size and way; a run is one forward."""


def measure(bench: Workbench) -> Found:
    return {
        size: {label: _forwards(series, bench.forwards) for label, series in bench.depth(size).items()}
        for size in bench.depth_sizes
    }


def _forwards(series: Series, count: int) -> Series:
    return Series([{"forward": run[str(number)]} for run in series.runs for number in range(count)])


def part(found: Found, bench: Workbench) -> Part:  # noqa: ARG001  every section has this signature
    columns = ("size", "way", "forward", "least", "most", "forwards", "this / original")
    rows = [
        (
            size,
            label,
            duration(series.median("forward")),
            *map(duration, series.range("forward")),
            str(len(series.runs)),
            times(series.median("forward") / ways[ORIGINAL].median("forward")),
        )
        for size, ways in found.items()
        for label, series in ways.items()
    ]
    return Part(
        title="Forward",
        tables=[Table(title=f"{SIDE} x {SIDE}, one image, after the first", columns=columns, rows=rows)],
        figures=[_figure(size, ways) for size, ways in found.items() if size in RELEASED],
    )


def _figure(size: str, ways: Mapping[str, Series]) -> Figure:
    ours, original = ways[BY_NAME].median("forward"), ways[ORIGINAL].median("forward")
    return Figure(
        what=f"forward, {size}",
        wanted=f"not slower than the original's {duration(original)}",
        measured=duration(ours),
        found=ours,
        limit=original,
    )
