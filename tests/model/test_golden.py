"""The depth equals the authors', for every family, size and grid of tests/golden."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from depthhub.checkpoint.shapes import infer_config
from depthhub.model.dpt import DPT
from depthhub.testing.reference import reference_image

from .golden_models import GOLDEN, converted, golden_build, golden_model, golden_shapes

SIZES = ("tiny", "vits", "vitb", "vitl")


def _size(name: str) -> str:
    return next(part for part in name.split("-") if part in SIZES)


# Size after size: the weights of one stay in memory for its next family.
NAMES = sorted((file.stem for file in GOLDEN.glob("*.safetensors")), key=lambda name: (SIZES.index(_size(name)), name))
MARKED = [pytest.param(name, marks=pytest.mark.slow if _size(name) in ("vitb", "vitl") else ()) for name in NAMES]


@pytest.mark.parametrize("name", MARKED)
def test_the_depth_equals_the_authors(name: str) -> None:
    model = golden_model(name)
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        golden = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, not a dict
    assert golden
    for key, expected in golden.items():
        hw, every = key.split("/every")
        height, width = map(int, hw.split("x"))
        with torch.no_grad():
            depth = model(torch.from_numpy(reference_image(height, width)))
        assert depth.shape == (1, height, width)
        assert depth.dtype == torch.float32
        found = depth[0, :: int(every), :: int(every)]
        assert (found - expected).abs().max() <= 1e-4 * expected.std(), key


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_are_the_converted_names_and_shapes(name: str) -> None:
    shapes = golden_shapes(name)
    model = DPT(infer_config(shapes, golden_build(name), path=GOLDEN))
    expected = converted({key: torch.empty(shape) for key, shape in shapes.items()})
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == {
        key: tensor.shape for key, tensor in expected.items()
    }
