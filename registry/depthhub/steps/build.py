"""From an entry to a ready model: modules that nobody initialises, parameters assigned from the map."""

from __future__ import annotations

import torch

from depthhub_cache.store import Entry

from ..checkpoint.converted import read_converted
from ..depth_model import DepthModel
from ..errors import BrokenEntryError, CheckpointError
from ..model.assign import AssignError, assign
from ..provenance import Provenance


def build(entry: Entry, device: torch.device | str) -> DepthModel:
    """The model of `entry` in eval mode. Raises BrokenEntryError where the file is not what was published."""
    try:
        tensors, header = read_converted(entry.weights, device=device)
        model = DepthModel(header.config, Provenance.of(entry))
        assign(model, tensors)
    except (AssignError, CheckpointError) as error:
        raise BrokenEntryError(
            f"The entry {entry.path} is damaged: {error}\n"
            f"Remove it with `depthhub cache remove {entry.key[:12]}`; the next call makes it again.",
            path=entry.path,
        ) from error
    return model.eval()
