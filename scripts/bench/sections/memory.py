"""What a load takes of the memory: its peak, its private part, and what several processes take together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .. import fresh
from ..series import Series
from ..tables import Figure, Part, Table, megabytes, times
from ..ways import BY_NAME, LARGE, RELEASED, ways_for
from ..workbench import Workbench

PROCESSES = 4
_STEPS = (
    *("torch", "safetensors", "wait", "memory:base", "imports", "run", "wait", "memory:ready"),
    *("wait", "touch", "wait", "memory:touched", "wait"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """By size and way. together: of several processes at once, one run each process."""

    alone: Mapping[str, Mapping[str, Series]]
    together: Mapping[str, Mapping[str, Series]]


def measure(bench: Workbench) -> Found:
    sizes = bench.sizes[:1] if bench.quick else bench.sizes
    return Found(
        alone={size: bench.ready(size) for size in bench.sizes},
        together={size: _together(bench, size) for size in sizes},
    )


def _together(bench: Workbench, size: str) -> dict[str, Series]:
    bench.say(f"memory, {size}: {PROCESSES} processes at once")
    found = {}
    for label, way in ways_for(bench.material[size]).items():
        if not way.is_model or way.fresh_cache or (bench.quick and label != BY_NAME):
            continue
        job = bench.learned(label, way.job(bench.material[size], _STEPS))
        found[label] = Series(fresh.together(job, PROCESSES, folder=bench.folder))
    return found


def part(found: Found, bench: Workbench) -> Part:
    if not any(series.has("base rss") for ways in found.alone.values() for series in ways.values()):
        return Part(title="Memory", tables=[], notes=["Not measured here: this system does not tell it as Linux does."])
    tables: list[Table] = []
    figures: list[Figure] = []
    for size, ways in found.alone.items():
        file = bench.material[size].bytes
        tables.append(_alone(size, ways, file))
        if size in RELEASED:
            figures += _figures(size, ways[BY_NAME], file)
    for size, ways in found.together.items():
        file = bench.material[size].bytes
        tables.append(_sums(size, ways, file))
        shared = _sum(ways[BY_NAME], "touched")
        figures.append(
            Figure(
                what=f"{PROCESSES} processes together, {size}, every page touched",
                wanted="the weights once: at most 1.05 x the file, and 5 % of it private to each",
                measured=f"{megabytes(shared)}, {times(shared / file)} the file",
                found=shared,
                limit=(1.05 + PROCESSES * 0.05) * file,
            )
        )
    notes = [
        "All above what the process takes once `torch` and `safetensors.torch` are imported. Private: written to by "
        "this process alone (`Private_Dirty`). Touched: after one number of every page of the weights was read.",
        f"Sums of {PROCESSES} processes that live at the same time: PSS, where what is shared counts once.",
    ]
    return Part(title="Memory", tables=tables, figures=figures, notes=notes)


def _alone(size: str, ways: Mapping[str, Series], file: int) -> Table:
    def cell(series: Series, moment: str, kind: str) -> str:
        more = series.growth(f"{moment} {kind}", f"base {'rss' if kind == 'peak' else kind}")
        return f"{megabytes(more)} ({more / file:.0%})"

    rows = [
        (label, *(cell(series, moment, kind) for kind in ("peak", "private") for moment in ("ready", "touched")))
        for label, series in ways.items()
    ]
    columns = ("way", "peak RSS, ready", "peak RSS, touched", "private, ready", "private, touched")
    return Table(title=f"{size}, one process; in brackets the share of {megabytes(file)}", columns=columns, rows=rows)


def _sums(size: str, ways: Mapping[str, Series], file: int) -> Table:
    rows = []
    for label, series in ways.items():
        ready, touched = _sum(series, "ready"), _sum(series, "touched")
        rows.append((label, megabytes(ready), megabytes(touched), times(touched / file)))
    columns = ("way", "PSS, ready", "PSS, touched", "touched / file")
    return Table(title=f"{size}, {PROCESSES} processes together", columns=columns, rows=rows)


def _sum(series: Series, moment: str) -> float:
    return sum(series.values(f"{moment} pss")) - sum(series.values("base pss"))


def _figures(size: str, ours: Series, file: int) -> Iterator[Figure]:
    private, peak = ours.growth("ready private", "base private"), ours.growth("touched peak", "base rss")
    if size == LARGE:
        yield Figure(
            what=f"private memory of a warm load, {size}",
            wanted="at most 5 % of the file",
            measured=f"{megabytes(private)}, {private / file:.1%}",
            found=private,
            limit=0.05 * file,
        )
    yield Figure(
        what=f"peak RSS of a load, {size}, every page touched",
        wanted="at most 1.05 x the file above torch",
        measured=times(peak / file),
        found=peak,
        limit=1.05 * file,
    )
