"""From an entry to a ready model: modules that nobody initialises, parameters assigned from the map."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from depthhub_cache.entry import Entry

from ..checkpoint.converted import read_converted
from ..depth_model import DepthModel
from ..errors import BrokenEntryError, CheckpointError
from ..model.assign import AssignError, assign
from ..provenance import Provenance


def build(entry: Entry, device: torch.device | str) -> DepthModel:
    """The model of `entry`. Raises BrokenEntryError where the file is not what was published."""
    try:
        with collection_paused():
            tensors, header = read_converted(entry.weights, device=device)
            model = DepthModel(header.config, Provenance.of(entry))
            assign(model, tensors)
    except (AssignError, CheckpointError) as error:
        raise BrokenEntryError(
            f"The entry {entry.path} is damaged: {error}\n"
            f"Remove it with `depthhub cache remove {entry.key[:12]}`; the next call makes it again.",
            path=entry.path,
        ) from error
    return model


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection for a moment. A few thousand modules and tensors that all stay would set off a full one,
    which walks everything that torch has imported: 100 ms to load a model in 10.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
