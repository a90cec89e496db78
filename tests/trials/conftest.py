from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

if str(SCRIPTS) not in sys.path:  # where scripts/torture finds the package
    sys.path.insert(0, str(SCRIPTS))

if sys.platform != "linux":  # the trials fork, mount, and look into /proc
    collect_ignore_glob = ["test_short_runs*", "test_checks.py"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """For processes that run a trial: the package is found, and nothing is coloured or shortened."""
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))
