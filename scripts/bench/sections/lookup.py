"""From a name to its entry, in a cache that holds ten thousand of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import fresh
from ..fresh import Job
from ..material import FAMILY
from ..probe import MARK
from ..series import Series
from ..tables import Figure, Part, Table, duration, spread
from ..ways import BY_HUB_FILE, BY_NAME, BY_PATH
from ..workbench import Workbench

ENTRIES, REFS = 10_000, 1_000
_STEPS = ("imports", "mark", "run", "mark", "again")
_RUNS = {True: 7, False: 20}
"""By whether it is quick. They take a fifth of a second each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """By how the entry is asked for. calls: of the system, by name and how often, during the first lookup of a process;
    None where there was no tracer.
    """

    seconds: Mapping[str, Series]
    calls: Mapping[str, Mapping[str, int] | None]


def measure(bench: Workbench) -> Found:
    bench.say(f"lookup: {ENTRIES:,} entries and {REFS:,} refs")
    cache = full_cache(bench, "lookup-cache")
    fill(cache, bench, entries=(0, ENTRIES), refs=(0, REFS))
    jobs = jobs_in(bench, cache)
    seconds = bench.interleaved(jobs, runs=_RUNS[bench.quick])
    calls = {label: _calls(bench, bench.learned(label, job)) for label, job in jobs.items()}
    return Found(seconds=seconds, calls=calls)


def full_cache(bench: Workbench, name: str) -> Path:
    """A cache that holds what that of the material does, to be filled."""
    cache = bench.folder / name
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(bench.smallest.cache, cache, copy_function=_copy_or_link)
    return cache


def fill(cache: Path, bench: Workbench, *, entries: tuple[int, int], refs: tuple[int, int]) -> None:
    """Let it hold entries and refs of these numbers too."""
    given = {"cache": str(cache), "entries": entries, "refs": refs}
    fresh.run(Job(program="fill_cache", given=given, steps=("imports", "run")), folder=bench.folder)


def jobs_in(bench: Workbench, cache: Path) -> dict[str, Job]:
    smallest = bench.smallest
    asked: Mapping[str, tuple[object, dict[str, str]]] = {
        BY_NAME: (smallest.name, {}),
        BY_HUB_FILE: (smallest.hub_file, {"family": FAMILY}),
        BY_PATH: (smallest.checkpoint, {"family": FAMILY}),
    }
    return {
        f"lookup, {label}": Job(
            program="lookup",
            given={"source": str(source), "options": options},
            steps=_STEPS,
            env={**smallest.env, "DEPTHHUB_CACHE": str(cache)},
            files=[smallest.entry],
        )
        for label, (source, options) in asked.items()
    }


def _copy_or_link(source: str, target: str) -> None:
    if source.endswith(".safetensors"):
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)


def _calls(bench: Workbench, job: Job) -> dict[str, int] | None:
    tracer = shutil.which("strace")
    if tracer is None:
        return None
    trace = bench.folder / "trace"
    fresh.run(job, folder=bench.folder, before=(tracer, "-f", "-o", str(trace)))
    return calls_between_marks(trace.read_text())


def calls_between_marks(trace: str) -> dict[str, int]:
    """How often each system call stands between two marks in a trace."""
    lines = trace.partition(MARK)[2].partition("\n")[2].partition(MARK)[0].splitlines()[:-1]
    names = [found[1] for line in lines if (found := re.match(r"(?:\d+ +)?(\w+)\(", line))]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def part(found: Found, bench: Workbench) -> Part:  # noqa: ARG001  every section has this signature
    rows = []
    for label, series in found.seconds.items():
        calls = found.calls[label]
        listed = "not counted: no strace" if calls is None else f"{calls.get('getdents64', 0)} of {sum(calls.values())}"
        rows.append((label, spread(series, "run"), spread(series, "again"), listed))
    columns = ("asked", "first in a process", "again in it", "directory listings among system calls")
    figures = []
    for label, series in found.seconds.items():
        took, listings = series.median("run"), (found.calls[label] or {}).get("getdents64", 0)
        figures.append(
            Figure(
                what=label,
                wanted="at most 2 ms, no directory listing",
                measured=f"{duration(took)}, {listings} listings",
                found=took if not listings else float("inf"),
                limit=2e-3,
            )
        )
    title = f"{ENTRIES:,} entries and {REFS:,} refs: parse, resolve, find, check, and say that it is used"
    return Part(title="Lookup", tables=[Table(title=title, columns=columns, rows=rows)], figures=figures)
