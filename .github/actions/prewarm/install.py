"""Installs depthhub into an environment of its own, so that nothing of the job's Python is changed.

torch, which is most of the download, converts checkpoints and does nothing else here: where every entry is restored, it
is never installed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from runner import fail

CHECKOUT = Path(__file__).resolve().parents[3]
"""The repository that this action is a part of, at the commit that the workflow names."""

OLDEST = (3, 10)


def main() -> None:
    if sys.version_info < OLDEST:
        fail(f"depthhub needs Python 3.10, and python3 is {sys.version.split()[0]}. Put actions/setup-python before.")
    version = os.environ["PREWARM_VERSION"]
    extras = sorted(filter(None, re.split(r"[,\s]+", os.environ["PREWARM_EXTRAS"])))
    wanted = f"depthhub=={version}" if version else str(CHECKOUT)
    installed, what = _environment() / "installed", f"{wanted} [{','.join(extras)}]"
    if installed.is_file() and installed.read_text(encoding="utf-8") == what:  # by an earlier step of this job
        return
    if not Path(python()).exists():
        _run(sys.executable, "-m", "venv", str(_environment()))
    _pip("install", "--no-deps", "--force-reinstall", wanted)
    _pip("install", *(text for text in _requirements(extras) if not _is_torch(text)))
    installed.write_text(what, encoding="utf-8")


def install_torch() -> None:
    """What `main` has left out."""
    _pip("install", *filter(_is_torch, _requirements([])))


def python() -> str:
    """The interpreter of the environment."""
    return str(_environment() / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def _environment() -> Path:
    return Path(os.environ["RUNNER_TEMP"]) / "depthhub-python"


def _pip(*arguments: str) -> None:
    _run(python(), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _requirements(extras: list[str]) -> list[str]:
    """What the installed depthhub needs, with these of its extras."""
    code = "import importlib.metadata, json; print(json.dumps(importlib.metadata.requires('depthhub')))"
    of: dict[str | None, list[str]] = {}
    for text in json.loads(_run(python(), "-c", code)):
        package, _, marker = text.partition(";")
        extra = re.search(r"extra == ['\"](.+?)['\"]", marker)
        of.setdefault(extra[1] if extra else None, []).append(package if extra else text)
    if unknown := [extra for extra in extras if extra not in of]:
        fail(f"depthhub has no extra {' or '.join(unknown)}; it has {', '.join(sorted(filter(None, of)))}.")
    return [text for extra in (None, *extras) for text in of[extra]]


def _is_torch(requirement: str) -> bool:
    return re.fullmatch(r"torch\b(?![-_.]).*", requirement) is not None


def _run(*command: str) -> str:
    """What it prints. Ends the step where it fails."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        fail(f"depthhub could not be installed: {' '.join(command)} ended with {done.returncode}; see above why.")
    return done.stdout


if __name__ == "__main__":
    main()
