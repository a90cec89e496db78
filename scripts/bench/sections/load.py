"""Time to a ready model in a fresh process, torch already imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ..series import Series
from ..tables import Figure, Part, Table, duration, megabytes, spread, times
from ..ways import BY_NAME, BY_PATH, LOAD_FILE, ORIGINAL, RELEASED, TRANSFORMERS
from ..workbench import Workbench

Found: TypeAlias = Mapping[str, Mapping[str, Series]]
"""By size and way."""

READY = ("imports", "run")

_SLACK = 8e-3
_FASTER = {"vitl": 250, "vits": 20}
"""Than the original way, at least."""


def measure(bench: Workbench) -> Found:
    return {size: bench.ready(size) for size in bench.sizes}


def part(found: Found, bench: Workbench) -> Part:
    tables = [_table(size, ways, bench.material[size].bytes) for size, ways in found.items()]
    return Part(
        title="Ready model",
        tables=tables,
        figures=[figure for size, ways in found.items() for figure in _figures(size, ways)],
        plots=bench.plots.ready(found),
        notes=[
            "Own imports: everything beyond `torch` and `safetensors.torch`. Ready: own imports and load. "
            "Ratios are those of the medians of ready, within this run.",
        ],
    )


def _table(size: str, ways: Mapping[str, Series], size_bytes: int) -> Table:
    ready = {label: series.median(*READY) for label, series in ways.items()}
    rows = [
        (
            label,
            duration(series.median("imports")),
            spread(series, "run"),
            spread(series, *READY),
            times(ready[ORIGINAL] / ready[label]),
            times(ready[label] / ready[LOAD_FILE]),
            str(len(series.runs)),
            f"{series.median('resident'):.0%}" if series.has("resident") else "not known",
        )
        for label, series in ways.items()
    ]
    columns = ("way", "own imports", "load", "ready", "original / this", "this / load_file", "runs", "in page cache")
    collected = [
        f"{label}: {count} of {len(series.runs)}"
        for label, series in ways.items()
        if (count := sum(found > 0 for found in series.values("full collections")))
    ]
    notes = [f"Runs in which a full garbage collection struck the load: {'; '.join(collected)}."] if collected else []
    return Table(title=f"{size}, {megabytes(size_bytes)} converted", columns=columns, rows=rows, notes=notes)


def _figures(size: str, ways: Mapping[str, Series]) -> Iterator[Figure]:
    if size not in RELEASED:
        return
    ours, limit = ways[BY_NAME], ways[LOAD_FILE].median("run")
    load, imports = ours.median("run"), ours.median("imports")
    if size in _FASTER:
        yield Figure(
            what=f"warm load, {size}",
            wanted=f"at most 2 x load_file + 8 ms = {duration(2 * limit + _SLACK)}",
            measured=f"{duration(load)}, {times(load / limit)} load_file",
            found=load,
            limit=2 * limit + _SLACK,
        )
        yield _faster(f"{size} against {ORIGINAL}, load against load", ways[ORIGINAL], ours, ("run",), _FASTER[size])
    if TRANSFORMERS in ways:  # whose call imports most of what it needs
        yield _faster(f"{size} against {TRANSFORMERS}, imports included", ways[TRANSFORMERS], ours, READY, 60)
    yield Figure(
        what=f"own imports at the first call, {size}",
        wanted="at most 10 ms beyond torch and safetensors",
        measured=duration(imports),
        found=imports,
        limit=10e-3,
    )
    by_path = ways[BY_PATH].median("run")
    yield Figure(
        what=f"a local file the second time, {size}",
        wanted=f"as fast as a name (within 10 %): {duration(load * 1.1)}",
        measured=duration(by_path),
        found=by_path,
        limit=load * 1.1,
    )


def _faster(what: str, theirs: Series, ours: Series, names: tuple[str, ...], least: float) -> Figure:
    ratio, load, ready = (theirs.median(*of) / ours.median(*of) for of in (names, ("run",), READY))
    return Figure(
        what=what,
        wanted=f"at least {least} x faster",
        measured=f"{times(ratio)} (load alone {times(load)}, with own imports {times(ready)})",
        found=least / ratio,
        limit=1,
    )
