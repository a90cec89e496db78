"""torch.export and torch.compile take the model whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from depthhub.model.dpt import DPT
from depthhub.testing.reference import reference_image


def test_a_model_exports(tiny_model: DPT, pixels: Tensor, depth: Tensor) -> None:
    exported = torch.export.export(tiny_model, (pixels,))
    torch.testing.assert_close(exported.module()(pixels), depth)


def test_a_model_exports_with_any_batch(tiny_model: DPT, pixels: Tensor, depth: Tensor) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(tiny_model, (pixels.repeat(2, 1, 1, 1),), dynamic_shapes={"pixels": {0: batch}})
    found = exported.module()(torch.cat((pixels.flip(-1), pixels.flip(-2), pixels)))
    torch.testing.assert_close(found[2:], depth)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_model_compiles_as_one_graph(tiny_model: DPT, pixels: Tensor, depth: Tensor, backend: str) -> None:
    torch.compiler.reset()
    compiled = torch.compile(tiny_model, backend=backend, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(pixels), depth)


def test_a_compiled_model_takes_the_next_size_too(tiny_model: DPT, pixels: Tensor) -> None:
    torch.compiler.reset()
    compiled = torch.compile(tiny_model, backend="eager", fullgraph=True)
    with torch.no_grad():
        compiled(pixels)
        other = torch.from_numpy(reference_image(70, 98))
        torch.testing.assert_close(compiled(other), tiny_model(other))
