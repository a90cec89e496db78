"""A Hub with a model that is locked, and its lockfile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub import lock
from depthhub.testing import LocalHub

from .models import CARD, FILE, REPO


@pytest.fixture
def hub(local_hub: LocalHub, tiny: Path) -> LocalHub:
    local_hub.add_file(REPO, "README.md", CARD, lfs=False)
    local_hub.add_file(REPO, FILE, tiny)
    return local_hub


@pytest.fixture
def locked(hub: LocalHub, cache: Path, tmp_path: Path) -> Path:
    """A lockfile of `me/forest@main`, whose entry is in the cache."""
    path = tmp_path / "depthhub.lock"
    lock([f"{REPO}@main"], path, family="v2")
    return path


@pytest.fixture
def edited(locked: Path) -> Callable[..., Path]:
    """`edited(commit=...)`: the lockfile with other facts of its one model."""

    def edit(**facts: object) -> Path:
        text = json.loads(locked.read_text())
        text["models"][0].update(facts)
        locked.write_text(json.dumps(text))
        return locked

    return edit
