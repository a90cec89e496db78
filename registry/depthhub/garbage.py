"""No garbage collection for a moment, while many things are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """A few thousand modules, functions or tensors would set off a collection, which walks everything that torch has
    imported: up to 100 ms, to load a model in 10.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
