"""The fleet of the demo: the Hub sees the job, and none of the machines that have the store."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    """Its table: who, then requests and bytes at the Hub, requests and bytes at the store, time."""
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "demo_fleet", "--quick", "--machines", "2"]
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Every file of every machine is the locked one, to the byte."
    lines = (re.split(r"  +", line.strip()) for line in done.stdout.splitlines()[2:-1])
    return {who: cells for who, *cells in lines}


def test_the_job_fetches_once_and_pushes_once(rows: dict[str, list[str]]) -> None:
    assert rows["the job locks"][1] == "17 MB"
    assert (rows["the job pushes"][0], rows["the job pushes"][3]) == ("0", "17 MB")


def test_without_the_store_every_machine_is_seen_by_the_hub(rows: dict[str, list[str]]) -> None:
    requests, size, *at_the_store = rows["2 machines, without the store"]
    assert (requests, size) == ("8", "34 MB")  # the way to a file, and the file: twice on each
    assert at_the_store[:2] == ["0", "0 MB"]


def test_with_the_store_none_is_and_two_requests_bring_an_entry(rows: dict[str, list[str]]) -> None:
    assert rows["2 machines, the Hub switched off"][:4] == ["0", "0 MB", "8", "34 MB"]
    assert rows["the same once more"][:4] == ["0", "0 MB", "0", "0 MB"]
