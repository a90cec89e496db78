from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

if str(SCRIPTS) not in sys.path:  # where scripts/torture finds the package
    sys.path.insert(0, str(SCRIPTS))

if sys.platform != "linux":  # the trials fork, mount, and look into /proc
    collect_ignore_glob = ["test_short_runs.py", "test_sabotage.py", "test_models.py", "test_checks.py"]


class Torture(Protocol):
    """scripts/torture with these arguments. sabotage: Python that breaks something in its process first."""

    def __call__(self, *argv: str, sabotage: str = "") -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """For processes that run a trial: the package is found, and nothing is coloured or shortened."""
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))


@pytest.fixture
def torture(environment: None) -> Torture:
    def run(*argv: str, sabotage: str = "") -> subprocess.CompletedProcess[str]:
        code = f"import sys\n{sabotage}\nfrom trials.__main__ import main\nsys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, *argv]
        return subprocess.run(command, text=True, capture_output=True, timeout=240, check=False)

    return run
