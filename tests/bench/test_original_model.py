"""The original way is measured with a model of ours: it has to be the authors' own in what it computes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from bench.programs import original
from bench.programs.original_model import OriginalModel
from depthhub.testing import original_shapes, reference_image, reference_tensor

GOLDEN = Path(__file__).parents[1] / "golden"


def test_its_outputs_are_the_authors() -> None:
    shapes = json.loads((GOLDEN / "v2-tiny.shapes.json").read_text())
    model = OriginalModel(shapes).eval()
    model.load_state_dict({key: torch.from_numpy(reference_tensor(key, tuple(shape))) for key, shape in shapes.items()})
    with safe_open(GOLDEN / "v2-tiny.safetensors", "pt") as file:
        for name in file.keys():  # noqa: SIM118  it is no dict
            size, _, every = name.partition("/every")
            height, width = map(int, size.split("x"))
            with torch.inference_mode():
                depth = model(torch.from_numpy(reference_image(height, width)))[0]
            expected = file.get_tensor(name).reshape(-1)
            found = depth[:: int(every), :: int(every)].reshape(-1)
            assert (found - expected).abs().max() < 1e-4 * (expected.max() - expected.min())


@pytest.mark.parametrize("tuned", [False, True])
def test_it_loads_a_checkpoint_strictly(tiny: Path, tuned: bool) -> None:
    model = original.run({"checkpoint": str(tiny), "shapes": original_shapes("tiny"), "tuned": tuned})
    state = model.state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == original_shapes("tiny")
    key = "pretrained.blocks.3.attn.qkv.weight"
    assert torch.equal(state[key], torch.from_numpy(reference_tensor(key, tuple(state[key].shape))))
