"""Shared by all rooms: the project's own pytest plugin, and checkpoints that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub.testing import make_checkpoint

pytest_plugins = ["depthhub.testing.plugin"]

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint in the original layout; its name tells nothing. Read it, never change it."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny.pth", encoder="tiny")
