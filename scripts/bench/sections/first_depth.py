"""Time to the first depth map, from the start of the process and from the call, with its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..probe import SIDE
from ..series import Series
from ..tables import Figure, Part, Table, duration, spread
from ..ways import BY_NAME, RELEASED
from ..workbench import Workbench

CALL = ("imports", "run", "first")
START = ("interpreter", "torch", *CALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """By size and way. page_in: seconds to bring in every page of the weights, measured apart."""

    depth: Mapping[str, Mapping[str, Series]]
    page_in: Mapping[str, Mapping[str, float]]


def measure(bench: Workbench) -> Found:
    depth = {size: bench.depth(size) for size in bench.depth_sizes}
    return Found(
        depth=depth,
        page_in={size: {label: _page_in(bench.ready(size)[label]) for label in ways} for size, ways in depth.items()},
    )


def _page_in(series: Series) -> float:
    return max(0.0, series.growth("touch", "touch again"))


def part(found: Found, bench: Workbench) -> Part:
    return Part(
        title="First depth map",
        tables=[_table(size, ways, found.page_in[size]) for size, ways in found.depth.items()],
        figures=[figure for size, ways in found.depth.items() if size in RELEASED for figure in _figures(size, ways)],
        plots=bench.plots.first_depth(found.depth),
        notes=[
            f"One depth map of {SIDE} x {SIDE}. From the start: interpreter, `import torch`, own imports, load, first "
            "forward. From the call: the last three. Page-in is a part of the first forward, estimated in other "
            "processes: to read a number of every page of the weights, less to do it again.",
        ],
    )


def _table(size: str, ways: Mapping[str, Series], page_in: Mapping[str, float]) -> Table:
    rows = [
        (
            label,
            spread(series, *START),
            spread(series, *CALL),
            duration(series.median("interpreter", "torch")),
            duration(series.median("imports")),
            duration(series.median("run")),
            duration(series.median("first")),
            duration(page_in[label]),
        )
        for label, series in ways.items()
    ]
    columns = (
        *("way", "from the start", "from the call", "interpreter, torch", "own imports", "load", "first forward"),
        "of it page-in",
    )
    return Table(title=size, columns=columns, rows=rows)


def _figures(size: str, ways: Mapping[str, Series]) -> Iterator[Figure]:
    for words, names in (("from process start", START), ("from the call", CALL)):
        ours = ways[BY_NAME].median(*names)
        others = {label: series.median(*names) for label, series in ways.items() if label != BY_NAME}
        best = min(others, key=lambda label: others[label])
        yield Figure(
            what=f"first depth map {words}, {size}",
            wanted=f"never slower than any alternative: {duration(others[best])} ({best})",
            measured=duration(ours),
            found=ours,
            limit=others[best],
        )
