"""Time to a ready model: the original way, depthhub's first call, and depthhub's every later call.

    .venv/bin/python scripts/bench/load_times.py [vits vitb vitl] [--runs 5]

Makes the checkpoints by rule, puts them into a cache of its own in a temporary folder, and runs every way in fresh
processes, interleaved, with the page cache warm. Prints a Markdown table of medians and of ratios within this run.
Not counted: `import torch`, which every way pays. Counted: all other imports.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = {
    "original": """
import sys, time
sys.path.insert(0, "scripts/bench")
import torch
from depthhub.testing import original_shapes
from original_way import load_the_original_way
from pathlib import Path
shapes = original_shapes(sys.argv[2])
start = time.perf_counter()
load_the_original_way(Path(sys.argv[1]), shapes)
""",
    "load_file": """
import sys, time, os
import torch
from pathlib import Path
entry = next(Path(os.environ["DEPTHHUB_CACHE"]).glob("v1/entries/*/*/weights.safetensors"))
start = time.perf_counter()
from safetensors.torch import load_file
load_file(entry)
""",
    "depthhub": """
import sys, time
import torch
start = time.perf_counter()
from depthhub import from_pretrained
from_pretrained(sys.argv[1], family="v2")
""",
}
REPORT = "\nprint(time.perf_counter() - start)\n"


def run(way: str, checkpoint: Path, encoder: str, cache: Path) -> float:
    """Seconds to a ready model in a fresh process."""
    command = [sys.executable, "-c", WAYS[way] + REPORT, str(checkpoint), encoder]
    env = {**os.environ, "DEPTHHUB_CACHE": str(cache)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled; nobody imports from source every time
    return float(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=env).stdout)


def measure(encoder: str, runs: int, folder: Path) -> dict[str, float]:
    from depthhub.testing import make_checkpoint

    checkpoint = make_checkpoint(folder / f"depth_anything_v2_{encoder}.pth", encoder=encoder)
    seconds: dict[str, list[float]] = {"first": [], **{way: [] for way in WAYS}}
    time.sleep(2.5)  # the digest of a file that was just written is not remembered
    for attempt in range(runs):
        cache = folder / f"cache-{encoder}-{attempt}"
        seconds["first"].append(run("depthhub", checkpoint, encoder, cache))
        for way in WAYS:
            seconds[way].append(run(way, checkpoint, encoder, cache))
        for file in sorted(cache.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    checkpoint.unlink()
    return {way: statistics.median(values) for way, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", default=["vits", "vitb", "vitl"])
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    print("| encoder | original way | first call (local file) | later call | load_file alone | original / later |")
    print("|---|---|---|---|---|---|")
    for encoder in args.encoders:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(encoder, args.runs, Path(folder))
        times = (f"{found[way] * 1e3:,.1f} ms" for way in ("original", "first", "depthhub", "load_file"))
        print(f"| {encoder} | {' | '.join(times)} | {found['original'] / found['depthhub']:,.0f} x |", flush=True)


if __name__ == "__main__":
    main()
