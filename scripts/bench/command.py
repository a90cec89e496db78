"""The benchmark: what loading costs with depthhub, beside every alternative and beside the limit.

Makes checkpoints by rule, runs every way in fresh processes, one round after the other, and prints a report in
Markdown: medians, spread, ratios within this run, memory, and which of the figures to reach are met. `--out` keeps it,
with every single run and the plots. transformers and matplotlib are used where they are installed (`scripts/benchmark`
installs them into .venv-bench). docs/performance.md says what each figure means, and holds the last full run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from depthhub.testing.shapes import SIZES
from trials.machine_facts import machine_facts

from .material import has_transformers, make
from .plots import Plots
from .report import put_into, results_of, text_of
from .tables import Part
from .workbench import Workbench

SECTIONS = ("load", "memory", "first-depth", "forward", "shell", "lookup", "cold", "dtype", "growth")
QUICK = ("load", "memory", "first-depth", "forward", "shell", "lookup", "cold")
"""Each is the module of its name in `sections/`."""

_IDLE = 0.7
"""Load average below which nobody else can have had much to do."""

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    only = args.only or (QUICK if args.quick else SECTIONS)
    out = DOCS / "performance" if args.update_docs else args.out
    facts = {"command": f"`scripts/benchmark {shlex.join(sys.argv[1:] if argv is None else argv)}`", **_facts(args)}
    began = time.monotonic()
    with _folder(args.folder) as folder:
        bench = _workbench(args, folder, out)
        found = {name: _section(name).measure(bench) for name in only}
        parts: list[Part] = [_section(name).part(found[name], bench) for name in only]
    if args.cold:  # the figures are set for a warm page cache
        parts = [replace(part, figures=()) for part in parts]
    facts |= {"load average at the end": _load_average(), "duration": f"{time.monotonic() - began:,.0f} s"}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.md").write_text(text_of(parts, facts, beside=None))
        (out / "results.json").write_text(results_of(found, facts))
    if args.update_docs:
        page = DOCS / "performance.md"
        page.write_text(put_into(page.read_text(), text_of(parts, facts, beside=DOCS)))
    print(text_of(parts, facts, beside=None))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="vits and vitl, few runs: three minutes on two cores")
    parser.add_argument("--sizes", type=_names(SIZES), help=f"of {','.join(SIZES)} (default: vits,vitb,vitl)")
    parser.add_argument("--runs", type=int, metavar="N", help="of each way (default: 7; 2 with --quick)")
    parser.add_argument("--slow-runs", type=int, metavar="N", help="of what takes seconds (default: 5; 1 with --quick)")
    parser.add_argument("--only", type=_names(SECTIONS), metavar="SECTIONS", help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--cold", action="store_true", help="take what is read out of the page cache before each run")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write report.md, results.json and plots there")
    parser.add_argument("--update-docs", action="store_true", help="write them to docs/performance.md and its folder")
    parser.add_argument(
        "--folder", type=Path, help="where the material is made, and found again (default: a temporary one)"
    )
    return parser


def _names(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not of {', '.join(known)}")
        return names

    return parse


def _section(name: str) -> ModuleType:
    return importlib.import_module(f".sections.{name.replace('-', '_')}", __package__)


def _workbench(args: argparse.Namespace, folder: Path, out: Path | None) -> Workbench:
    sizes = args.sizes or (("vits", "vitl") if args.quick else ("vits", "vitb", "vitl"))
    print(f"making {', '.join(sizes)} in {folder}", file=sys.stderr, flush=True)
    return Workbench(
        folder=folder,
        material=make(sizes, folder, ports=True),
        plots=Plots(out),
        runs=args.runs or (2 if args.quick else 7),
        slow_runs=args.slow_runs or (1 if args.quick else 5),
        forwards=2 if args.quick else 3,
        quick=args.quick,
        cold=args.cold,
    )


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The folder of the material: a given one stays, any other goes."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="depthhub-benchmark-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _facts(args: argparse.Namespace) -> dict[str, str]:
    facts = machine_facts(args.folder or Path(tempfile.gettempdir()))
    facts["machine"] += f", {_processor()}, {_memory()}"
    facts["versions"] += "".join(f", {name} {found}" for name in ("transformers", "numpy") if (found := _version(name)))
    facts["page cache"] = "taken out before each run (--cold)" if args.cold else "warm"
    facts["load average at the start"] = _load_average()
    if busy := _busy():
        facts["a busy machine"] = busy
    if not has_transformers():
        facts["left out"] = "transformers, which is not installed"
    if _version("matplotlib") is None:
        facts["plots"] = "none, since matplotlib is not installed"
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "a processor that is not known"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError):
        return "memory not known"


def _load_average() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"


def _busy() -> str | None:
    """What a reader has to know where others used the machine: threads that wait for each other lose the most."""
    if not hasattr(os, "getloadavg") or os.getloadavg()[0] < _IDLE:
        return None
    return "others used it when this began: the original way and every forward, which use all cores, are too slow here"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
