"""Other processes: forked ones, killed ones, and fresh ones that run a command of `workers.py`."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
_NOBODY = 65534


def in_a_child(work: Callable[[], Any], *, as_nobody: bool = False) -> Any:
    """What `work` returns in a forked process; what it raises there is raised here.

    as_nobody: without the rights of root, who is refused nothing.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            if as_nobody and os.geteuid() == 0:
                os.setgid(_NOBODY)
                os.setuid(_NOBODY)
            try:
                answer = pickle.dumps((True, work()))
            except Exception as error:  # noqa: BLE001  whatever it is, it is the caller's
                traceback.print_exc()
                answer = pickle.dumps((False, error))
            os.write(writer, answer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    good, value = pickle.loads(answer)
    if not good:
        raise value
    return value


def together(*works: Callable[[], Any]) -> list[int]:
    """The exit statuses of forked processes that begin their `works` at the same moment: 0 is well done."""
    waiting, go = os.pipe()
    pids = []
    for work in works:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.close(go)
                os.read(waiting, 1)  # until its other end is closed everywhere
                work()
                code = 0
            except Exception:  # noqa: BLE001  told by the status
                traceback.print_exc()
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(go)
    os.close(waiting)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def killed_in_a_child(work: Callable[[], Any], *, at_line: int) -> bool:
    """Kill -9 a forked process when `work` comes to its `at_line`-th line of the store; False if it ended before."""
    pid = os.fork()
    if not pid:
        lines = 0

        def on_line(frame: Any, event: str, _: Any) -> Any:
            nonlocal lines
            if event == "line":
                lines += 1
                if lines == at_line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return on_line

        def on_call(frame: Any, event: str, _: Any) -> Any:
            return on_line if "depthhub_cache" in frame.f_code.co_filename else None

        try:
            sys.settrace(on_call)
            work()
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status)


def worker(*args: object) -> subprocess.Popen[str]:
    """Another Python that runs one command of `workers.py`."""
    command = [sys.executable, str(Path(__file__).with_name("workers.py")), *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer_of(process: subprocess.Popen[str]) -> Any:
    """What a worker says in the end."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def first_word_of(process: subprocess.Popen[str]) -> str:
    """Waits for a worker's first line: it is where the test wants it."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    """Kill -9."""
    process.kill()
    process.communicate()


def wait_until(claim: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
