"""A machine at which somebody types: a home, a folder, an environment that lasts from block to block."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .document import Block, Command
from .offer import PROJECT

_MARK = "\x1e"
_STAND_INS = {"docker": "docker", "kubectl": "kubectl", "sbatch": "slurm sbatch", "srun": "slurm srun"}


class Typed(NamedTuple):
    """A command that was run: what it printed, what it said on stderr, how it ended."""

    command: Command
    output: str
    said: str
    code: int
    seconds: float


class Machine:
    """In `folder`. site: where depthhub is installed. env: of its own. network: it has one.

    `docs` in its folder are those of the project, as where somebody has it checked out. `depthhub` and `python` are
    this environment's; docker, kubectl and Slurm's commands are ours that stand for them.
    """

    def __init__(self, folder: Path, site: Path, env: Mapping[str, str], *, network: bool = True) -> None:
        self.folder = folder
        self.network = network
        self.state = folder / ".state"
        self.state.mkdir(parents=True)
        (folder / "docs").symlink_to(PROJECT / "docs")
        programs = _programs(folder / ".bin")
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        self.env = {
            **kept,
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{site}:{PROJECT / 'scripts'}",
            "HOME": str(folder),
            "USER": "somebody",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "RECIPES_STATE": str(self.state),
            **env,
        }
        (self.state / "session").write_text(f"cd {shlex.quote(str(folder))}\n")

    def bring(self, names: tuple[str, ...], other: Machine) -> None:
        """Files from the other machine's folder."""
        for name in names:
            given = other.folder / name
            into = self.folder / given.name
            shutil.copytree(given, into) if given.is_dir() else shutil.copy(given, into)

    def type(self, block: Block) -> Iterator[Typed]:
        """Run the commands of a block as they are printed, in one shell, until one fails."""
        session = shlex.quote(str(self.state / "session"))
        lines = [f". {session}", "set -e"]
        for command in block.commands:
            lines += [f"printf '{_MARK}'; printf '{_MARK}' >&2", command.text]
        lines += [f'{{ echo cd "$(printf %q "$PWD")"; export -p; }} > {session}']
        apart = [] if self.network else ["unshare", "--net"]
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [*apart, "bash", "-c", "\n".join(lines)],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
            with process:
                times, outputs = _read(process)
            said.seek(0)
            errors = said.read().split(_MARK)
        for number, (output, error) in enumerate(zip(outputs, errors, strict=True)):
            if number:
                code = process.returncode if number == len(outputs) - 1 else 0
                yield Typed(block.commands[number - 1], output, error, code, times[number] - times[number - 1])


def _read(process: subprocess.Popen[str]) -> tuple[list[float], list[str]]:
    """What is printed, cut at each mark, and when each piece was at its end."""
    assert process.stdout is not None
    times, outputs = [], [""]
    while piece := process.stdout.read(1):
        if piece == _MARK:
            times.append(time.monotonic())
            outputs.append("")
        else:
            outputs[-1] += piece
    return [*times, time.monotonic()], outputs


def _programs(folder: Path) -> Path:
    """The commands that this machine has under names of its own."""
    folder.mkdir()
    for name, module in _STAND_INS.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m recipes.{module} "$@"\n')
        program.chmod(0o755)
    return folder
