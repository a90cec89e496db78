"""A program in a fresh process: what is asked of it, and the facts that come back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from . import page_cache

PROBE = Path(__file__).with_name("probe.py")
_FOREIGN = ("DEPTHHUB_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "PYTHON")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a fresh process is to do.

    program: of `programs/`; given: what it is given, plain JSON. steps: of `probe.py`. env: beside that of the machine.
    files: that are read, whose place in the page cache counts. fresh_cache: whether each run has an empty one.
    imported: modules that the process will need, so that their import can be told from the rest.
    """

    program: str
    given: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Path] = ()
    fresh_cache: bool = False
    imported: Sequence[str] = ()


def run(job: Job, *, folder: Path, cold: bool = False, before: Sequence[str] = ()) -> dict[str, Any]:
    """What a process found that did `job`. folder: where an empty cache is made. cold: with its files not in the page
    cache; `resident` is the share of them that was. before: what stands before the command, such as a tracer.
    """
    facts = _resident(job.files, cold=cold)
    with _environment(job, folder) as env:
        return facts | _found(_start(job, env, before), job)


def together(job: Job, count: int, *, folder: Path) -> list[dict[str, Any]]:
    """What `count` processes found that did `job` at the same time: at each step `wait` they wait for all others."""
    facts = _resident(job.files, cold=False)
    with _environment(job, folder) as env, ExitStack() as ended:
        processes = [ended.enter_context(_ended(_start(job, env, ()))) for _ in range(count)]
        for _ in range(list(job.steps).count("wait")):
            for process in processes:
                _expect_waiting(process, job)
            for process in processes:
                _pipe(process.stdin).write("\n")
                _pipe(process.stdin).flush()
        return [facts | _found(process, job) for process in processes]


def seconds_of(command: Sequence[str | Path], env: Mapping[str, str]) -> float:
    """From the start of a command to its end."""
    began = time.perf_counter()
    subprocess.run(command, env=environment(env), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The machine's own, without anybody's settings, and with `more`. Bytecode is kept: what is installed has it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)} | dict(more)


@contextmanager
def _environment(job: Job, folder: Path) -> Iterator[dict[str, str]]:
    if not job.fresh_cache:
        yield environment(job.env)
        return
    cache = tempfile.mkdtemp(prefix="cache-", dir=folder)
    try:
        yield environment({**job.env, "DEPTHHUB_CACHE": cache})
    finally:
        shutil.rmtree(cache)


def _resident(files: Sequence[Path], *, cold: bool) -> dict[str, Any]:
    for file in files:
        (page_cache.drop if cold else page_cache.warm)(file)
    shares = [share for file in files if (share := page_cache.resident(file)) is not None]
    return {"resident": min(shares)} if shares else {}


def _start(job: Job, env: Mapping[str, str], before: Sequence[str]) -> subprocess.Popen[str]:
    asked = {"program": job.program, "given": job.given, "steps": job.steps, "imported": job.imported}
    command = [*before, sys.executable, str(PROBE), json.dumps(asked)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, repr(time.monotonic())], env=dict(env), text=True, stdin=pipe, stdout=pipe, stderr=pipe
    )


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Whatever happens to it or to another one, it does not outlive the context."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def _expect_waiting(process: subprocess.Popen[str], job: Job) -> None:
    if _pipe(process.stdout).readline() != "waiting\n":
        raise _failed(job, process.communicate()[1])


def _found(process: subprocess.Popen[str], job: Job) -> dict[str, Any]:
    """What it prints at its end, which is waited for."""
    out, err = process.communicate()
    if process.returncode:
        raise _failed(job, err)
    return dict(json.loads(out.splitlines()[-1]))


def _failed(job: Job, said: str) -> RuntimeError:
    return RuntimeError(f"{job.program} {dict(job.given)} failed:\n{said}")


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise AssertionError("every pipe was asked for")
    return pipe
