"""The original way: construct every layer with its initialisation, read the whole file, copy it in.

What the authors' README tells their users to do. `given["tuned"]`: construct on the meta device, map the file, and
assign its tensors, which takes no more than two words in the user's code and a model that allows the first of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from .original_model import OriginalModel


def run(given: Mapping[str, Any]) -> OriginalModel:
    tuned = given.get("tuned", False)
    with torch.device("meta") if tuned else nullcontext():  # even the device that it is would slow all of it down
        model = OriginalModel(given["shapes"])
    state = torch.load(given["checkpoint"], map_location="cpu", weights_only=True, mmap=tuned)
    model.load_state_dict(state, assign=tuned)
    return model.eval()


def tensors(model: OriginalModel) -> Iterable[Tensor]:
    return model.parameters()


def forward(model: OriginalModel, pixels: Tensor) -> Tensor:
    return model(pixels)  # type: ignore[no-any-return]  # as torch types a call
