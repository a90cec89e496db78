"""Where the files of a trial lie, and that nothing of them stays."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .trial import Options

_MEMORY = Path("/dev/shm")


def place_of(options: Options) -> Path:
    """The folder that temporary folders are made in. A killed process loses no page cache: memory shows the same."""
    if options.folder is not None:
        return options.folder.absolute()
    return _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def workplace(options: Options) -> Iterator[Path]:
    """A fresh folder that is gone afterwards; every user may pass through it."""
    folder = Path(tempfile.mkdtemp(prefix="depthhub-trial-", dir=place_of(options)))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
