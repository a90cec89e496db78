from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from depthhub_cache.store import Store

from .samples import memory_folder

Mount = Callable[[str], Path]


@pytest.fixture
def store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        yield Store(Path(folder) / "cache")


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """`hide(folder)`: the system does not say what is in it. Root, too, is told nothing."""
    lstat = Path.lstat

    def closed(folder: Path) -> None:
        def refusing(path: Path) -> os.stat_result:
            if folder in path.parents:
                raise PermissionError(13, "Permission denied", str(path))
            return lstat(path)

        monkeypatch.setattr(Path, "lstat", refusing)

    return closed
