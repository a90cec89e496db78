"""What goes in and what comes out of a forward, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from depthhub.model.dpt import DPT

from .golden_models import golden_model


def test_building_a_model_draws_no_random_numbers(tiny_model: DPT) -> None:
    before = torch.get_rng_state()
    DPT(tiny_model.config)
    assert torch.equal(torch.get_rng_state(), before)


def test_blocks_that_are_built_alike_share_nothing(tiny_model: DPT) -> None:
    model = DPT(tiny_model.config)
    assert len({id(module) for module in model.modules()}) == len(list(tiny_model.modules()))
    assert len({parameter.data_ptr() for parameter in model.parameters()}) == len(list(tiny_model.parameters()))
    first, second, *_ = model.imgencoder.blocks
    hook = first.attn.register_forward_hook(lambda *_: None)
    assert not second.attn._forward_hooks
    assert not first.mlp._forward_hooks
    hook.remove()
    for table in ("_parameters", "_modules", "_buffers", "_state_dict_hooks", "_non_persistent_buffers_set"):
        assert getattr(first, table) is not getattr(second, table)


def test_a_model_can_be_filled_as_any_other_module(tiny_model: DPT, pixels: Tensor, depth: Tensor) -> None:
    model = DPT(tiny_model.config)
    model.load_state_dict(tiny_model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(pixels), tiny_model(pixels))


def test_every_normalisation_has_dinov2s_epsilon(tiny_model: DPT) -> None:
    # Too small a difference for the golden outputs to show.
    epsilons = [module.eps for module in tiny_model.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert epsilons == [1e-6] * (2 * 8 + 1)


def test_every_image_of_a_batch_is_seen_alone(tiny_model: DPT, pixels: Tensor, depth: Tensor) -> None:
    with torch.no_grad():
        both = tiny_model(torch.cat((pixels.flip(-1), pixels)))
    assert both.shape == (2, 140, 210)
    torch.testing.assert_close(both[1:], depth)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.2), (torch.float16, 0.03), (torch.float64, 1e-4)])
def test_a_model_computes_in_the_dtype_of_its_weights(
    tiny_model: DPT, pixels: Tensor, depth: Tensor, dtype: torch.dtype, tolerance: float
) -> None:
    model = copy.deepcopy(tiny_model).to(dtype)
    with torch.no_grad():
        found = model(pixels)  # float32: cast to the weights' dtype
        same = model(pixels.to(dtype))
    assert found.dtype == dtype
    assert torch.equal(found, same)
    assert (found.double() - depth.double()).abs().max() <= tolerance * depth.std()


def test_a_model_runs_under_autocast(tiny_model: DPT, pixels: Tensor, depth: Tensor) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = tiny_model(pixels)
    assert (found.float() - depth).abs().max() <= 0.2 * depth.std()


def test_gradients_reach_every_parameter(tiny_model: DPT, pixels: Tensor) -> None:
    model = copy.deepcopy(tiny_model)
    model(pixels).mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []


def test_metric_depth_stays_below_its_maximum(pixels: Tensor) -> None:
    with torch.no_grad():
        metres = golden_model("v2-metric-tiny-20m")(pixels)
    assert metres.min() > 0
    assert 10 < metres.max() <= 20


@pytest.mark.parametrize(
    ("shape", "dtype", "says"),
    [
        ((3, 140, 210), torch.float32, r"B x 3 x H x W, normalised; got 3 x 140 x 210\. .*model\.infer"),
        ((1, 4, 140, 210), torch.float32, r"B x 3 x H x W, normalised; got 1 x 4 x 140 x 210"),
        ((), torch.float32, r"got a scalar"),
        ((1, 3, 140, 210), torch.uint8, r"floating point, normalised .* got torch\.uint8\. .*model\.infer"),
        ((1, 3, 141, 216), torch.float32, r"1 x 3 x 141 x 216, .* patch size 14: the nearest good size is 140 x 210"),
        ((1, 3, 147, 6), torch.float32, r"the nearest good size is 154 x 14"),
        ((1, 3, 0, 140), torch.float32, r"the nearest good size is 14 x 140"),
    ],
)
def test_pixels_that_do_not_fit_are_refused_with_what_would(
    tiny_model: DPT, shape: tuple[int, ...], dtype: torch.dtype, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        tiny_model(torch.zeros(shape, dtype=dtype))


@pytest.mark.parametrize("taps", [(1, 3, 5, 8), (-1, 3, 5, 7), (3, 1, 5, 7), (1, 1, 5, 7), (5, 6, 7)])
def test_taps_that_are_no_four_blocks_are_refused(tiny_model: DPT, taps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"four ascending blocks of 0 to 7; got "):
        DPT(tiny_model.config._replace(taps=taps))
