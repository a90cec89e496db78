"""Each trial runs for some seconds and finds nothing."""

from __future__ import annotations

import pytest

from trials.__main__ import TRIALS

from .conftest import Torture

pytestmark = pytest.mark.slow

WAYS = [[name] for name in TRIALS] + [["race", "--no-locks"]]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_short_run_finds_no_violation(way: list[str], torture: Torture) -> None:
    found = torture(*way, "--short")
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"### {way[0]}" in found.stdout
    assert "- result: no violation" in found.stdout


def test_a_short_run_without_strace_finds_no_violation(torture: Torture) -> None:
    found = torture("fsync", "--short", "--no-strace", "--seed", "2")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "by wrapping Python's own functions" in found.stdout
