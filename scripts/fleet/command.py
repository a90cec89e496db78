"""What happens when 10 to 10,000 machines start cold at once: a simulation, whose costs are measured on this machine.

It asks for requests and bytes at the Hub and at a shared store, the time until all are warm, who gives up, where rate
limits bite, and what jitter and trying again do. docs/fleet.md says what the figures mean, and holds the last full run.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from .costs import MEASURED, read_measured
from .plots import draw
from .report import put_into, results_of, text_of
from .studies import Size, study

DOCS = Path(__file__).resolve().parents[2] / "docs"
FULL = Size(machines=(10, 100, 1_000, 10_000), models=("vits", "vitl"), runs=3, reach=60_000)
QUICK = Size(machines=(100, 4_000), models=("vits",), runs=1, reach=6_000)


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.measure:
        return _measure()
    measured = read_measured()
    given = QUICK if args.quick else FULL
    size = Size(
        machines=args.machines or given.machines,
        models=args.models or given.models,
        runs=given.runs,
        reach=given.reach,
        seed=args.seed,
    )
    if unknown := [model for model in size.models if model not in measured.models]:
        print(f"scripts/fleet_sim: {', '.join(unknown)} is not in {MEASURED.name}: measure it", file=sys.stderr)
        return 2
    began = time.monotonic()
    found = study(size, measured)
    facts = {
        "command": f"`scripts/fleet_sim {shlex.join(sys.argv[1:] if argv is None else argv)}`".replace(" `", "`"),
        "runs": f"{size.runs} of each where a window of the Hub refuses somebody, with windows that begin at other "
        f"instants; of jitter and of the limits of time one, in the middle; seed {size.seed}",
        "duration": f"{time.monotonic() - began:,.0f} s",
    }
    out = DOCS / "fleet" if args.update_docs else args.out
    names = [] if out is None else _written(out, results_of(found, facts), lambda: draw(found, out))
    if args.update_docs:
        page = DOCS / "fleet.md"
        plots = [f"fleet/{name}" for name in names]
        page.write_text(put_into(page.read_text(), text_of(found, measured, facts, plots)))
    text = text_of(found, measured, facts, names)
    if out is not None and not args.update_docs:
        (out / "report.md").write_text(text)
    print(text)
    return 0


def _measure() -> int:
    from .measuring import measure

    folder = Path(tempfile.mkdtemp(prefix="depthhub-fleet-"))
    try:
        MEASURED.write_text(measure(folder).to_json())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(MEASURED.read_text())
    return 0


def _written(out: Path, results: str, drawn: Callable[[], list[str]]) -> list[str]:
    """The names of the pictures, of which there are none without matplotlib."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(results)
    if find_spec("matplotlib") is None:
        print("scripts/fleet_sim: no pictures, since matplotlib is not installed", file=sys.stderr)
        return []
    return drawn()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fleet_sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="vits, 100 and 4,000 machines, one run each")
    parser.add_argument("--machines", type=_counts, metavar="N,N,...", help="sizes of fleets (default: 10 to 10,000)")
    parser.add_argument("--models", type=_names, metavar="NAMES", help="of measured.json (default: vits,vitl)")
    parser.add_argument("--seed", type=int, default=0, help="the same one gives the same figures")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write report.md, results.json and pictures there")
    parser.add_argument("--update-docs", action="store_true", help="write them to docs/fleet.md and its folder")
    parser.add_argument(
        "--measure", action="store_true", help="instead: measure what a cold call costs here, into measured.json"
    )
    return parser


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: numbers of machines, with commas between them")
    return tuple(sorted(counts))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
