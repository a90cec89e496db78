"""How a load grows: with the size of the model, with the entries of the cache, and with the loaders at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import fresh
from ..material import make
from ..series import Series
from ..tables import Part, Table, duration, megabytes, spread, times
from ..ways import BY_NAME, LOAD_FILE, ORIGINAL, WAYS, ways_for
from ..workbench import Workbench
from .lookup import fill, full_cache, jobs_in

SIZES = {True: ("tiny", "vits", "vitl"), False: ("tiny", "vits", "vitb", "vitl", "vitg")}
ENTRIES = {True: (10, 100, 1_000), False: (10, 100, 1_000, 10_000)}
LOADERS = {True: (1, 2, 4), False: (1, 2, 4, 8, 16)}
"""By whether it is quick."""

_COMPARED = (BY_NAME, LOAD_FILE, ORIGINAL)
_STEPS = ("torch", "safetensors", "imports", "run")
_AT_ONCE = ("torch", "safetensors", "wait", "memory:base", "imports", "wait", "run", "wait", "touch", "wait")
_MEASURED = ("memory:touched", "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """size: by bytes of the file and way; names: of these sizes. entries: by number. loaders: by number, one run for
    each process of each round.
    """

    names: Mapping[int, str]
    size: Mapping[int, Mapping[str, Series]]
    entries: Mapping[int, Series]
    loaders: Mapping[int, Series]


def measure(bench: Workbench) -> Found:
    material = make(SIZES[bench.quick], bench.folder, ports=False)
    size = {}
    for name, made in material.items():
        bench.say(f"growth: {name}")
        jobs = {label: way.job(made, _STEPS) for label, way in ways_for(made).items() if label in _COMPARED}
        size[made.bytes] = bench.interleaved(jobs, runs=bench.runs, slow=[ORIGINAL], slow_runs=bench.slow_runs)
    return Found(
        names={made.bytes: name for name, made in material.items()},
        size=size,
        entries=_entries(bench),
        loaders={count: _loaders(bench, count) for count in LOADERS[bench.quick]},
    )


def _entries(bench: Workbench) -> dict[int, Series]:
    cache = full_cache(bench, "growing-cache")
    label = f"lookup, {BY_NAME}"
    job, found, there = jobs_in(bench, cache)[label], {}, 0
    for count in ENTRIES[bench.quick]:
        bench.say(f"growth: {count:,} entries")
        fill(cache, bench, entries=(there, count), refs=(there // 10, count // 10))
        there = count
        found[count] = bench.interleaved({label: job}, runs=2 * bench.runs)[label]
    return found


def _loaders(bench: Workbench, count: int) -> Series:
    bench.say(f"growth: {count} loaders at once")
    material = bench.largest
    job = bench.learned(BY_NAME, WAYS[BY_NAME].job(material, (*_AT_ONCE, *_MEASURED)))
    rounds = [fresh.together(job, count, folder=bench.folder) for _ in range(bench.slow_runs)]
    return Series([run for found in rounds for run in found])


def part(found: Found, bench: Workbench) -> Part:
    return Part(
        title="Growth",
        tables=[_sizes(found), _counts(found), _at_once(found, bench)],
        plots=bench.plots.growth(found),
    )


def _sizes(found: Found) -> Table:
    rows = [
        (
            f"{found.names[size]}, {megabytes(size)}",
            *(duration(ways[label].median("imports", "run")) for label in _COMPARED),
            times(ways[ORIGINAL].median("imports", "run") / ways[BY_NAME].median("imports", "run")),
        )
        for size, ways in found.size.items()
    ]
    return Table(
        title="Ready model, own imports included, against its size",
        columns=("size", *_COMPARED, "original / depthhub"),
        rows=rows,
        notes=[
            "Theory: a map costs per tensor, not per byte: a load is a constant plus some microseconds for each of the "
            "tensors, of which a model has 250 to 650. The original way touches every byte three times (initialise, "
            "read, copy), so it grows with the bytes."
        ],
    )


def _counts(found: Found) -> Table:
    rows = [(f"{count:,}", spread(series, "run")) for count, series in found.entries.items()]
    return Table(
        title="Lookup of a name, against the entries of the cache",
        columns=("entries, and a tenth of that in refs", "first lookup of a process"),
        rows=rows,
        notes=[
            "Theory: flat. A path is computed from the key and opened; nothing is listed, and a folder of 256 shelves "
            "keeps the file system's own search short."
        ],
    )


def _at_once(found: Found, bench: Workbench) -> Table:
    file = bench.largest.bytes
    rows = []
    for count, series in found.loaders.items():
        rounds = len(series.runs) / count
        weights = (sum(series.values("touched pss")) - sum(series.values("base pss"))) / rounds
        memory = f"{megabytes(weights)}, {times(weights / file)}" if series.has("base pss") else "not known"
        low, high = series.range("run")
        rows.append((str(count), duration(series.median("run")), duration(low), duration(high), memory))
    return Table(
        title=f"Load of {bench.largest.size}, against the loaders at once",
        columns=("loaders", "median", "fastest", "slowest", "PSS of all, every page touched, and of the file"),
        rows=rows,
        notes=[
            "Theory: no lock, so nobody waits for anybody but for a core: flat up to the number of cores, then in "
            "proportion to loaders / cores. The weights are in memory once, whatever their number."
        ],
    )
