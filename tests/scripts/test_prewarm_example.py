"""scripts/prewarm, the example that people copy, as they run it: a process with its arguments and its terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from depthhub import from_pretrained, lock
from depthhub.testing import Fault, LocalHub, make_checkpoint

from ..catalogs import checkpoint, write_catalog
from .conftest import SCRIPTS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

EXAMPLE = SCRIPTS / "prewarm"


@pytest.fixture
def names(local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two names of a catalog, whose files the Hub has."""
    entries = []
    for seed, name in enumerate(("forest", "field")):
        file = make_checkpoint(tmp_path / f"{name}.pth", encoder="tiny", seed=seed)
        local_hub.add_file("me/depth", file.name, file)
        entries.append(checkpoint(name, repo_id="me/depth", filename=file.name))
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", *entries)))
    return ["forest", "field"]


@pytest.fixture
def example() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*argv: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLE), *map(str, argv)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_it_stays_small_and_can_be_started() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 50
    assert os.name == "nt" or os.access(EXAMPLE, os.X_OK)


def test_names_are_there_afterwards_and_were_there_the_next_time(
    example, names: list[str], local_hub: LocalHub
) -> None:
    first = example(*names)
    assert (first.returncode, first.stderr) == (0, "")
    assert [line.partition(":")[0] for line in first.stdout.splitlines()] == [f"{name} is there now" for name in names]
    assert "bytes, apache-2.0, " in first.stdout
    local_hub.clear_log()
    second = example(*names)
    assert second.stdout == first.stdout.replace("is there now", "was there")
    assert local_hub.requests == []
    assert from_pretrained("forest", offline=True).config.blocks == 8


def test_a_lockfile_names_its_models(example, names: list[str], tmp_path: Path, hub_environment: Path) -> None:
    file = tmp_path / "depthhub.lock"
    lock(names, file, cache_dir=tmp_path / "developer")
    found = example(file)
    assert (found.returncode, found.stderr) == (0, "")
    assert len(found.stdout.splitlines()) == 2
    assert len(list((hub_environment / "depthhub").rglob("entry.json"))) == 2


def test_what_fails_is_one_message_and_one_code(example, names: list[str], local_hub: LocalHub) -> None:
    found = example("forest", "forset")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("Unknown model 'forset'. Did you mean 'forest'?")
    local_hub.inject(Fault.status(404), times=None)
    found = example(*names)
    assert (found.returncode, found.stdout) == (1, "")
    assert "Traceback" not in found.stderr


def test_without_arguments_it_says_what_it_takes(example) -> None:
    found = example()
    assert (found.returncode, found.stdout) == (1, "")
    assert "scripts/prewarm depthhub.lock" in found.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="where a terminal keeps what was written to it differs")
def test_on_a_terminal_there_is_a_line_of_progress(names: list[str]) -> None:
    import pty

    ours, theirs = pty.openpty()
    ran = subprocess.Popen([sys.executable, str(EXAMPLE), *names], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    assert ran.communicate(timeout=120)[0].count(b"is there now") == 2
    seen = ""
    with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:  # which is how its end is told
        while data := terminal.read(1 << 16):
            seen += data.decode()
    assert "forest: downloading" in seen
    assert "converting" in seen
    assert seen.endswith("\r\033[K")  # taken away, before anything else is printed


def test_it_is_formatted_and_typed_as_all_else() -> None:
    """The linters look for files that end in .py."""
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        source = EXAMPLE.read_text(encoding="utf-8")
        options = [*command, "--stdin-filename", str(EXAMPLE.with_suffix(".py")), "-"]
        ran = subprocess.run(
            [sys.executable, "-m", *options], input=source, text=True, capture_output=True, check=False
        )
        assert ran.returncode == 0, ran.stdout
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--scripts-are-modules", str(EXAMPLE)],
        text=True,
        capture_output=True,
        check=False,
        cwd=SCRIPTS.parent,
    )
    assert ran.returncode == 0, ran.stdout
