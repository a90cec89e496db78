"""Each trial runs for some seconds and finds nothing; and finds what is broken on purpose."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trials.__main__ import TRIALS

pytestmark = pytest.mark.usefixtures("environment")

WAYS = [[name] for name in TRIALS] + [["race", "--no-locks"]]


def torture(*argv: str, sabotage: str = "") -> subprocess.CompletedProcess[str]:
    """Run as scripts/torture does. sabotage: Python that breaks something in that process first."""
    code = f"import sys\n{sabotage}\nfrom trials.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *argv], text=True, capture_output=True, timeout=240, check=False)


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_short_run_finds_no_violation(way: list[str]) -> None:
    found = torture(*way, "--short")
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"### {way[0]}" in found.stdout
    assert "- result: no violation" in found.stdout


# What each trial is to find, the Python that breaks it, and what is told then.
SABOTAGE = {
    "kill": (  # a sweep that removes nothing
        "from depthhub_cache.store import Store\nStore.sweep = lambda self: 0",
        "is left",
    ),
    "race": (  # locks that exclude nobody
        "from contextlib import nullcontext\nfrom depthhub_cache.store import Store\n"
        "Store.lock = lambda *_, **__: nullcontext(True)",
        "where 1 is right",
    ),
    "read-only": (  # a load that has to write
        "from depthhub_cache.store import Store\nlease = Store.lease\n"
        "def written(self, entry):\n"
        "    (self.root / 'v1' / 'tmp' / 'x').mkdir()\n    (self.root / 'v1' / 'tmp' / 'x').rmdir()\n"
        "    return lease(self, entry)\n"
        "Store.lease = written",
        "with v1/tmp",
    ),
    "hub": (  # a library that gives up at once
        "from depthhub.transfer import attempts\nattempts.PATIENCE = 1",
        "it passes, and the call raised",
    ),
}
COUNTS = {"hub": ["--pairs", "0", "--threes", "0"], "read-only": ["--folders", "2", "--strangers", "0"]}


@pytest.mark.parametrize("name", SABOTAGE)
def test_what_is_broken_on_purpose_is_found(name: str) -> None:
    sabotage, told = SABOTAGE[name]
    found = torture(name, "--short", "--seed", "1", *COUNTS.get(name, []), sabotage=sabotage)
    assert found.returncode == 1, found.stdout + found.stderr
    assert told in found.stdout
    assert "an undisturbed call" not in found.stdout
