"""A fleet on this machine. A trusted job locks two models, converts them and pushes them into a store that speaks S3.

Then fresh machines, processes with empty caches, pull what is locked: first from the Hub, as without the store, then
out of the store, with the Hub switched off. Every byte is compared with the lockfile. All servers are on loopback; the
checkpoints are made by rule, of the size of `vits` (99 MB each).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from depthhub.testing import LocalHub, make_checkpoint

from .machine import Answer, run, run_all
from .object_store import ObjectStore
from .traffic import Traffic, traffic_of

SOURCES = ("fleet/indoor", "fleet/outdoor")


class Row:
    """A line of the table: who did what, what the Hub and the store were asked for it, and how long it took."""

    def __init__(self, who: str, hub: Traffic, store: Traffic, seconds: float) -> None:
        self.cells = (who, *_cells(hub), *_cells(store), f"{seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/demo-fleet", description=__doc__)
    parser.add_argument("--machines", type=int, default=4, help="how many start at once (default: 4)")
    parser.add_argument("--quick", action="store_true", help="with checkpoints of 8 MB")
    args = parser.parse_args()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-fleet-")))
        hub, store = stack.enter_context(LocalHub()), ObjectStore()
        stack.callback(store.close)
        rows = _fleet(place, hub, store, machines=args.machines, encoder="tiny" if args.quick else "vits")
    _print_table(rows)
    print("Every file of every machine is the locked one, to the byte.")


def _fleet(place: Path, hub: LocalHub, store: ObjectStore, *, machines: int, encoder: str) -> list[Row]:
    size = _offer(place, hub, encoder)
    lockfile = place / "depthhub.lock"
    at_the_hub = {"HF_ENDPOINT": hub.endpoint}
    with_store = {**at_the_hub, **store.environment()}

    def row(who: str, *answers: Answer) -> Row:
        return Row(who, traffic_of(hub, size), store.traffic(), max(answer.seconds for answer in answers))

    def caches(kind: str) -> list[Path]:
        return [place / f"{kind}{number}" for number in range(1, machines + 1)]

    locked = run(place / "job", with_store, "lock", *SOURCES, "--family", "v2", "-o", str(lockfile))
    rows = [row("the job locks", locked)]
    pushed = run(place / "job", with_store, "pull", "--locked", "--lockfile", str(lockfile), "--push")
    rows.append(row("the job pushes", pushed))

    pull = ("pull", "--locked", "--lockfile", str(lockfile))
    from_hub = run_all(caches("from-hub-"), at_the_hub, *pull)
    rows.append(row(f"{machines} machines, without the store", *from_hub))
    hub.close()
    from_store = run_all(caches("from-store-"), with_store, *pull)
    rows.append(row(f"{machines} machines, the Hub switched off", *from_store))
    again = run_all(caches("from-store-"), with_store, *pull)
    rows.append(row("the same once more", *again))
    _require_locked([*from_hub, *from_store, *again], lockfile)
    return rows


def _offer(place: Path, hub: LocalHub, encoder: str) -> int:
    """Two checkpoints on the Hub; bytes of each."""
    for seed, source in enumerate(SOURCES):
        path = make_checkpoint(place / f"{seed}.pth", encoder=encoder, seed=seed)
        hub.add_file(source, "README.md", b"---\nlicense: apache-2.0\n---\n", lfs=False)
        hub.add_file(source, "weights.pth", path)
    return path.stat().st_size


def _require_locked(answers: Sequence[Answer], lockfile: Path) -> None:
    expected = [model["weights_sha256"] for model in json.loads(lockfile.read_text())["models"]]
    for answer in answers:
        found = [hashlib.sha256(Path(one["path"]).read_bytes()).hexdigest() for one in answer.document]
        if found != expected:
            raise RuntimeError(f"a machine has {found}, and locked are {expected}")


def _cells(traffic: Traffic) -> tuple[str, str]:
    return str(traffic.requests), f"{traffic.size / 1e6:,.0f} MB"


def _print_table(rows: Sequence[Row]) -> None:
    lines = [("", "Hub:", "", "store:", "", ""), ("", "requests", "bytes", "requests", "bytes", "time")]
    lines += [row.cells for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for first, *others in lines:
        print("  ".join([first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True))]))


if __name__ == "__main__":
    main()
