from __future__ import annotations

import pytest
from torch import Tensor

from .states import golden_shapes, state_dict


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in state_dict(golden_shapes("v2-tiny")).items()}
