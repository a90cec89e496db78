"""The position embedding is resampled by a factor, as the authors do."""

from __future__ import annotations

import torch

from depthhub.model.posenc import PositionEncoding


def _filled(width: int, base_grid: tuple[int, int]) -> PositionEncoding:
    torch.manual_seed(0)
    posenc = PositionEncoding(width, base_grid)
    for parameter in posenc.parameters():
        torch.nn.init.normal_(parameter)
    return posenc


def test_the_base_grid_is_taken_as_it_is() -> None:
    posenc = _filled(8, (37, 37))
    found = posenc((37, 37))
    assert torch.equal(found[:, :1], posenc.cls_embedding)
    assert torch.equal(found[:, 1:], posenc.base_patch_embedding)


def test_as_many_patches_in_another_grid_are_resampled() -> None:
    posenc = _filled(8, (4, 4))
    found = posenc((2, 8))
    assert found.shape == (1, 17, 8)
    assert not torch.equal(found[:, 1:], posenc.base_patch_embedding)


def test_the_class_token_has_no_place() -> None:
    posenc = _filled(8, (4, 4))
    assert torch.equal(posenc((9, 5))[:, :1], posenc.cls_embedding)


def test_no_grid_loses_a_patch_to_rounding() -> None:
    posenc = _filled(1, (37, 37))
    with torch.no_grad():
        wrong = [side for side in range(1, 400) if posenc((side, 1)).shape[1] != 1 + side]
    assert wrong == []


def test_half_precision_weights_are_resampled_in_float32() -> None:
    exact = _filled(8, (16, 16))
    half = _filled(8, (16, 16)).to(torch.bfloat16)
    for parameter, rounded in zip(exact.parameters(), half.parameters(), strict=True):
        parameter.data = rounded.data.float()
    found = half((10, 15))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact((10, 15)).to(torch.bfloat16))
