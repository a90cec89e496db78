"""First calls: of a file that is here, and of one on a Hub on this machine, beside the least that they have to do."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .. import fresh
from ..fresh import Job
from ..material import FAMILY, BenchHub, Material, hub_with
from ..series import Series
from ..tables import Figure, Part, Table, duration, megabytes, spread, times
from ..ways import FIRST_CALL, LARGE, WAYS
from ..workbench import Workbench

HASH, COPY = "sha256 of the file", "copy of it, with fsync"
FROM_HUB, CURL, SHA256SUM = "depthhub, first call (over loopback)", "curl to a file", "sha256sum of it"
_STEPS = ("torch", "safetensors", "memory:base", "imports", "run", "memory:ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """By size and what was done."""

    local: Mapping[str, Mapping[str, Series]]
    loopback: Mapping[str, Mapping[str, Series]]


def measure(bench: Workbench) -> Found:
    sizes = bench.sizes[-1:] if bench.quick else bench.sizes
    return Found(
        local={size: _local(bench, size) for size in sizes},
        loopback={size: _loopback(bench, size) for size in sizes},
    )


def _local(bench: Workbench, size: str) -> dict[str, Series]:
    bench.say(f"cold, {size}: from a local file")
    for label, job in _local_jobs(bench.smallest).items():
        bench.learned(label, job)
    return bench.interleaved(_local_jobs(bench.material[size]), runs=bench.slow_runs)


def _local_jobs(material: Material) -> dict[str, Job]:
    given, files = {"checkpoint": str(material.checkpoint)}, [material.checkpoint]
    steps = ("imports", "run")
    return {
        FIRST_CALL: WAYS[FIRST_CALL].job(material, _STEPS),
        HASH: Job(program="hash_file", given=given, files=files, steps=steps),
        COPY: Job(program="copy_file", given=given, files=files, steps=steps, fresh_cache=True),
    }


def _loopback(bench: Workbench, size: str) -> dict[str, Series]:
    material = bench.material[size]
    if shutil.which("curl") is None or shutil.which("sha256sum") is None:
        return {}
    bench.say(f"cold, {size}: over loopback")
    with hub_with({material.checkpoint, bench.smallest.checkpoint}) as hub:
        bench.learned(FROM_HUB, _from_hub(hub, bench.smallest))
        job = bench.learned(FROM_HUB, _from_hub(hub, material))
        url = f"{hub.endpoint}/{hub.repo(material.checkpoint)}/resolve/main/{material.checkpoint.name}"
        found: dict[str, list[Mapping[str, float]]] = {FROM_HUB: [], CURL: [], SHA256SUM: []}
        for _ in range(bench.slow_runs):
            found[FROM_HUB].append(fresh.run(job, folder=bench.folder, cold=bench.cold))
            for label, seconds in _by_hand(url, bench.folder / "download").items():
                found[label].append({"run": seconds})
    return {label: Series(runs) for label, runs in found.items()}


def _from_hub(hub: BenchHub, material: Material) -> Job:
    job = WAYS[FIRST_CALL].job(material, _STEPS)
    given = {"source": hub.file(material.checkpoint), "options": {"family": FAMILY}}
    return replace(job, given=given, env={**material.env, "HF_ENDPOINT": hub.endpoint})


def _by_hand(url: str, target: Path) -> dict[str, float]:
    try:
        return {
            CURL: fresh.seconds_of(["curl", "--silent", "--fail", "--location", "--output", target, url], {}),
            SHA256SUM: fresh.seconds_of(["sha256sum", target], {}),
        }
    finally:
        target.unlink(missing_ok=True)


def part(found: Found, bench: Workbench) -> Part:  # noqa: ARG001  every section has this signature
    tables, figures, notes = [], [], ["Own imports are counted in the first calls."]
    for size, series in found.local.items():
        tables.append(_table(f"{size}, the file is here", FIRST_CALL, series, (HASH, COPY)))
        if size != LARGE:
            continue
        figures.append(_figure(f"cold, {size}, file is here", series, FIRST_CALL, (HASH, COPY), at_most=1.3))
        if series[FIRST_CALL].has("base rss"):
            peak = series[FIRST_CALL].growth("ready peak", "base rss")
            figures.append(
                Figure(
                    what=f"peak RSS of a first call, {size}",
                    wanted="at most 150 MB above torch",
                    measured=megabytes(peak),
                    found=peak,
                    limit=150e6,
                )
            )
    for size, series in found.loopback.items():
        if series:
            tables.append(_table(f"{size}, over loopback", FROM_HUB, series, (CURL, SHA256SUM)))
            ours, hashed = series[FROM_HUB].median("imports", "run"), found.local[size][HASH].median("run")
            ratio = ours / (series[CURL].median("run") + hashed)
            notes.append(
                f"{size}: with the sha256 that Python's hashlib takes here, {duration(hashed)}, in the place of "
                f"`sha256sum`, which does not use every processor's instructions for it, it would be {times(ratio)}."
            )
        if series and size == LARGE:
            figures.append(_figure(f"cold, {size}, over loopback", series, FROM_HUB, (CURL, SHA256SUM), at_most=1.25))
    if not all(found.loopback.values()):
        notes.append("Over loopback was not measured: there is no curl or no sha256sum here.")
    return Part(title="First call", tables=tables, figures=figures, notes=notes)


def _table(title: str, ours: str, found: Mapping[str, Series], theirs: tuple[str, str]) -> Table:
    together = sum(found[label].median("run") for label in theirs)
    first = found[ours]
    memory = megabytes(first.growth("ready peak", "base rss")) if first.has("base rss") else "not known"
    rows = [
        (ours, spread(first, "imports", "run"), memory, times(first.median("imports", "run") / together)),
        *((label, spread(found[label], "run"), "", "") for label in theirs),
        ("both, one after the other", duration(together), "", times(1)),
    ]
    return Table(title=title, columns=("what", "seconds", "peak RSS above torch", "this / both"), rows=rows)


def _figure(what: str, found: Mapping[str, Series], ours: str, theirs: tuple[str, str], *, at_most: float) -> Figure:
    together = sum(found[label].median("run") for label in theirs)
    ratio = found[ours].median("imports", "run") / together
    return Figure(
        what=what,
        wanted=f"at most {at_most} x ({theirs[0]} + {theirs[1]}) = {duration(at_most * together)}",
        measured=f"{duration(ratio * together)}, {times(ratio)}",
        found=ratio,
        limit=at_most,
    )
