"""The stores between which bundles travel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthhub_cache.store import Store

from ..samples import memory_folder
from .archives import fill, packed


@pytest.fixture
def full(store: Store) -> Store:
    """A store with two entries and a ref."""
    fill(store)
    return store


@pytest.fixture
def bundle(full: Store) -> bytes:
    return packed(full)


@pytest.fixture
def other() -> Iterator[Store]:
    """The empty store of another machine."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        yield Store(Path(folder) / "cache")
