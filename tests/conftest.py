"""Shared by all rooms: the project's own pytest plugin, and checkpoints that several tests read."""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from depthhub.testing import make_checkpoint

pytest_plugins = ["depthhub.testing.plugin"]

GOLDEN = Path(__file__).parent / "golden"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first: run side by side, all end when the last of them does."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What tests log of paths that are no UTF-8 has to travel from the process that runs them."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _nothing_of_the_users(hub_environment: Path) -> None:
    """No test sees a cache that another one filled, or the user's own."""


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """What a test lets the library log, the tests after it in the same process would find in their `caplog`."""
    loggers = [logging.getLogger(name) for name in ("depthhub", "depthhub_cache", None)]
    before = [(logger.level, logger.disabled, logger.propagate) for logger in loggers]
    yield
    assert [(logger.level, logger.disabled, logger.propagate) for logger in loggers] == before


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint in the original layout; its name tells nothing. Read it, never change it."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny.pth", encoder="tiny")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can come to; pytest's own are shut for others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small file system of its own: `mount("size=1m")`, in memory if no `kind` is said. Needs the rights."""
    mounted: list[Path] = []

    def make(options: str, kind: str = "tmpfs", device: str = "depthhub-test") -> Path:
        folder = tmp_path / f"mount{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", kind, "-o", options, device, str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("this system has no mount")
        if done.returncode:
            pytest.skip(f"may not mount here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
