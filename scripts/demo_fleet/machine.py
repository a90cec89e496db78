"""A machine of the fleet: a process with an empty cache of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_OURS_AND_THEIRS = ("DEPTHHUB_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_", "AWS_", "FSSPEC_")


class Answer(NamedTuple):
    """What a command printed as JSON, and how long it took from start to end, in seconds."""

    document: Any
    seconds: float


def run(cache: Path, settings: Mapping[str, str], *arguments: str) -> Answer:
    """`depthhub ARGUMENTS --json` on a machine with that cache. Raises RuntimeError with its words where it fails."""
    (answer,) = run_all([cache], settings, *arguments)
    return answer


def run_all(caches: Sequence[Path], settings: Mapping[str, str], *arguments: str) -> list[Answer]:
    """The same on several machines that start at once."""
    began = time.perf_counter()
    processes = [_start(cache, settings, arguments) for cache in caches]
    return [_answer(process, began) for process in processes]


def _start(cache: Path, settings: Mapping[str, str], arguments: Sequence[str]) -> subprocess.Popen[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS_AND_THEIRS)}
    home = {"DEPTHHUB_CACHE": str(cache / "depthhub"), "HF_HOME": str(cache / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "depthhub", *arguments, "--json", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**own, **home, **settings, "NO_PROXY": "127.0.0.1"},
    )


def _answer(process: subprocess.Popen[str], began: float) -> Answer:
    out, err = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, process.args))} ended with {process.returncode}:\n{err}")
    return Answer(json.loads(out), seconds)
