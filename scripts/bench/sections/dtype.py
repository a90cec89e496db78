"""Half precision: what it takes of the disk, to make, and to load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from depthhub import resolve

from .. import fresh
from ..fresh import Job
from ..material import FAMILY, Material
from ..series import Series
from ..tables import Figure, Part, Table, duration, megabytes, spread, times
from ..ways import BY_PATH, FIRST_CALL, WAYS
from ..workbench import Workbench

DTYPES = ("float32", "float16", "bfloat16")
_FIRST = ("torch", "safetensors", "memory:base", "imports", "run", "memory:ready")
_LATER = ("torch", "safetensors", "imports", "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """By size and dtype. size: bytes of the converted file."""

    size: Mapping[str, Mapping[str, int]]
    first: Mapping[str, Mapping[str, Series]]
    later: Mapping[str, Mapping[str, Series]]


def measure(bench: Workbench) -> Found:
    sizes = [bench.sizes[0]] if bench.quick else bench.sizes
    first, later, entries = {}, {}, {}
    for size in sizes:
        bench.say(f"dtype, {size}: {', '.join(DTYPES)}")
        material = bench.material[size]
        for job in _jobs(material, BY_PATH, ("torch", "imports", "run")).values():
            fresh.run(job, folder=bench.folder)  # from now on there is an entry
        first[size] = bench.interleaved(_jobs(material, FIRST_CALL, _FIRST), runs=bench.slow_runs)
        later[size] = bench.interleaved(_jobs(material, BY_PATH, _LATER), runs=bench.runs)
        entries[size] = {dtype: _entry(material, dtype).stat().st_size for dtype in DTYPES}
    return Found(size=entries, first=first, later=later)


def _jobs(material: Material, label: str, steps: tuple[str, ...]) -> dict[str, Job]:
    """The dtype of the checkpoint is not asked for, so that its entry is the one that everybody has."""
    job = WAYS[label].job(material, steps)

    def given(dtype: str) -> dict[str, Any]:
        return {**job.given, "options": {"family": FAMILY} | ({"dtype": dtype} if dtype != "float32" else {})}

    return {f"{label}, {dtype}": replace(job, given=given(dtype)) for dtype in DTYPES}


def _entry(material: Material, dtype: str) -> Path:
    asked = None if dtype == "float32" else dtype
    path = resolve(material.checkpoint, family=FAMILY, cache_dir=material.cache, dtype=asked).path
    if path is None:
        raise RuntimeError(f"{material.checkpoint} has no entry of {dtype}")
    return path if path.is_file() else next(path.glob("*.safetensors"))


def part(found: Found, bench: Workbench) -> Part:  # noqa: ARG001  every section has this signature
    tables: list[Table] = []
    figures: list[Figure] = []
    for size, bytes_of in found.size.items():
        first = {dtype: found.first[size][f"{FIRST_CALL}, {dtype}"] for dtype in DTYPES}
        later = {dtype: found.later[size][f"{BY_PATH}, {dtype}"] for dtype in DTYPES}
        rows = [
            (
                dtype,
                megabytes(bytes_of[dtype]),
                times(bytes_of[dtype] / bytes_of["float32"]),
                spread(first[dtype], "run"),
                megabytes(first[dtype].growth("ready peak", "base rss")) if first[dtype].has("base rss") else "",
                spread(later[dtype], "run"),
            )
            for dtype in DTYPES
        ]
        columns = ("dtype", "on disk", "of float32", "first call", "its peak RSS above torch", "later load")
        tables.append(Table(title=size, columns=columns, rows=rows))
        figures += _figures(size, bytes_of, later)
    return Part(title="Half precision", tables=tables, figures=figures)


def _figures(size: str, bytes_of: Mapping[str, int], later: Mapping[str, Series]) -> Iterator[Figure]:
    for dtype in DTYPES[1:]:
        yield Figure(
            what=f"{dtype} on disk, {size}",
            wanted="half the bytes (within 1 %)",
            measured=times(bytes_of[dtype] / bytes_of["float32"]),
            found=bytes_of[dtype],
            limit=0.505 * bytes_of["float32"],
        )
        load, full = later[dtype].median("run"), later["float32"].median("run")
        yield Figure(
            what=f"load of {dtype}, {size}",
            wanted=f"at most that of float32, {duration(full)} (within 5 %)",
            measured=duration(load),
            found=load,
            limit=1.05 * full,
        )
