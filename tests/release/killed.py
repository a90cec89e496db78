"""A program: makes releases in forked processes that are killed before their n-th change of a file, and begun again.

    killed.py PROJECT FOLDER PACKAGES EVERY [one]

What counts as a change: a rename, a link, a removal, a file that is opened for writing. One process loads torch, and is
forked for each release; it runs nothing itself, so that there are no threads to lose.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch  # noqa: F401  once, for all of them

import depthhub.conversion
import depthhub.steps.make
import depthhub.steps.obtain  # noqa: F401
from releasing import manifest, models  # noqa: F401
from releasing.__main__ import main


def run(project: Path, out: Path, at: int | None) -> list[int] | None:
    """The exit codes of both steps in a forked process; None where it was killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.dup2(2, 1)
            if at is not None:
                kill_before_change(at)
            options = ["v1.2.3", "--repository", "me/depthhub", "--only", "demo-*", "--out", str(out)]
            codes = [main([step, *options], root=project) for step in ("models", "manifest")]
            os.write(writer, json.dumps(codes).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert killed == (not text)
    return None if killed else json.loads(text)


def kill_before_change(at: int) -> None:
    left = at

    def count(changes: bool) -> None:
        nonlocal left
        left -= changes
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., Any], changes: Callable[..., bool]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            count(changes(*args, **options))
            return real(*args, **options)

        return call

    def always(*_: Any, **__: Any) -> bool:
        return True

    def for_writing(_: Any, mode: Any = "r", *__: Any, **___: Any) -> bool:
        return bool(set(str(mode)) & set("wxa+")) if isinstance(mode, str) else bool(mode & (os.O_WRONLY | os.O_RDWR))

    for name in ("rename", "replace", "link", "unlink", "rmdir", "remove"):
        setattr(os, name, counted(getattr(os, name), always))
    os.open = counted(os.open, for_writing)
    io.open = builtins.open = counted(io.open, for_writing)


def main_program(project: Path, place: Path, packages: Path, every: int, in_one_folder: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    at = 1
    while True:
        out = place / ("one" if in_one_folder else str(at))
        if not out.exists():
            shutil.copytree(packages, out / "packages")
        codes = run(project, out, at)
        killed = codes is None
        if killed and not in_one_folder:
            codes = run(project, out, None)
        sums = (out / "SHA256SUMS").read_text() if codes == [0, 0] else None
        kept = [out / "work", out / "entries"]  # the caches, which sweep themselves
        folders = [out, *(path for path in out.iterdir() if path.is_dir() and path not in kept)]
        names = [path.name for folder in folders for path in folder.iterdir() if path.name.startswith(".")]
        found.append({"at": at, "killed": killed, "codes": codes, "sums": sums, "left_behind": names})
        if not in_one_folder:
            shutil.rmtree(out)
        if not killed:
            return found
        at += every


if __name__ == "__main__":
    _, *places, every = sys.argv[:5]
    print(json.dumps(main_program(*map(Path, places), int(every), sys.argv[5:] == ["one"])))
