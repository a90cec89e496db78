"""A small model that most tests of this room share, and its input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from depthhub.model.dpt import DPT
from depthhub.testing.reference import reference_image

from .golden_models import golden_model


@pytest.fixture(scope="session")
def tiny_model() -> DPT:
    """V2, width 128, 8 blocks. Use it, never change it."""
    return golden_model("v2-tiny")


@pytest.fixture(scope="session")
def pixels() -> Tensor:
    """1 x 3 x 140 x 210, normalised."""
    return torch.from_numpy(reference_image(140, 210))


@pytest.fixture(scope="session")
def depth(tiny_model: DPT, pixels: Tensor) -> Tensor:
    """What the small model answers to `pixels`."""
    with torch.no_grad():
        return tiny_model(pixels)
