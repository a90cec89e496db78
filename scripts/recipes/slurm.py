"""Stands for `sbatch` and `srun`, as far as docs/deploy.md uses them: the tasks are processes of this machine.

One machine stands for every node. The variables are those that Slurm sets; see sbatch(1) and srun(1).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_AT_ONCE = 2
_JOB = "4711"


def sbatch(argv: Sequence[str]) -> int:
    """Run the script once for each number of its array, a few at a time; what is printed goes to slurm-<job>.out."""
    parser = _parser("sbatch")
    parser.add_argument("--wait", action="store_true", required=True)
    parser.add_argument("script", type=Path)
    args = parser.parse_args(argv)
    options = _parser("sbatch").parse_args(
        re.findall(r"^#SBATCH (\S+)", args.script.read_text(encoding="utf-8"), re.MULTILINE)
    )
    first, _, last = options.array.partition("-")
    tasks = options.nodes * options.ntasks_per_node

    def run(number: int) -> int:
        job = {
            "SLURM_JOB_ID": _JOB,
            "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_NNODES": str(options.nodes),
            "SLURM_NTASKS": str(tasks),
            "SLURM_TMPDIR": str(Path(os.environ["RECIPES_STATE"], "scratch")),
        }
        with Path(f"slurm-{_JOB}_{number}.out").open("w") as out:
            return subprocess.run(
                ["bash", args.script], env=os.environ | job, stdout=out, stderr=subprocess.STDOUT, check=False
            ).returncode

    print(f"Submitted batch job {_JOB}", flush=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return max(pool.map(run, range(int(first), int(last or first) + 1)))


def srun(argv: Sequence[str]) -> int:
    """Start the tasks of a step all at once; the worst of what they end with."""
    parser = _parser("srun")
    parser.add_argument("--ntasks", type=int, default=int(os.environ["SLURM_NTASKS"]))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    tasks = [
        subprocess.Popen(args.command, env=os.environ | {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)})
        for number in range(args.ntasks)
    ]
    return max(task.wait() for task in tasks)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, allow_abbrev=False)
    parser.add_argument("--job-name")
    parser.add_argument("--array", default="0")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--ntasks-per-node", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "srun": srun}[sys.argv[1]](sys.argv[2:]))
