"""The config comes from shapes alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from depthhub.checkpoint.shapes import Sizes, describe, infer_config, original_shapes
from depthhub.errors import CheckpointError, UnknownKeysError
from depthhub.model.config import Build
from depthhub.testing.shapes import Size
from depthhub.testing.shapes import original_shapes as second_hand

from .states import NAMES, golden_shapes
from .test_rules import sizes as any_size

PATH = Path("some.pth")

TINY = Sizes(
    width=128,
    blocks=8,
    heads=2,
    patch_size=14,
    base_grid=(16, 16),
    reassembly_channels=(16, 32, 64, 128),
    fusion_channels=32,
    head_channels=32,
    mlp="gelu",
    mlp_width=512,
)


@pytest.mark.parametrize("name", NAMES)
def test_every_golden_file_tells_its_size_and_the_size_tells_its_shapes_in_their_order(name: str) -> None:
    shapes = golden_shapes(name)
    assert list(original_shapes(describe(shapes, path=PATH)).items()) == list(shapes.items())


def test_the_released_sizes_are_known_by_name() -> None:
    assert {name: describe(golden_shapes(name), path=PATH).encoder for name in NAMES} == {
        name: next((size for size in ("vits", "vitb", "vitl") if size in name), None) for name in NAMES
    }


def test_a_size_that_nobody_released_is_told_in_full() -> None:
    assert describe(golden_shapes("v2-tiny"), path=PATH) == TINY
    swiglu = describe(golden_shapes("v2-tiny-swiglu"), path=PATH)
    assert (swiglu.mlp, swiglu.mlp_width) == ("swiglu", 344)
    assert "a size that nobody has released: 8 blocks of width 128" in str(swiglu)


@settings(max_examples=50, deadline=None)
@given(size=any_size)
def test_any_size_is_told_from_its_shapes(size: Size) -> None:
    found = describe(second_hand(size), path=PATH)
    assert (found.width, found.blocks, found.patch_size) == (size.width, size.blocks, size.patch_size)
    assert found.base_grid == (size.base_grid, size.base_grid)
    assert found.reassembly_channels == size.reassembly_channels
    assert (found.fusion_channels, found.head_channels) == (size.fusion_channels, size.head_channels)
    assert (found.mlp, found.mlp_width) == (size.mlp, size.mlp_width)


def test_the_build_gives_what_shapes_cannot_tell() -> None:
    shapes = golden_shapes("v2-tiny")
    v1 = infer_config(shapes, Build("v1"), path=PATH)
    metric = infer_config(shapes, Build("v2-metric", 20), path=PATH)
    assert (v1.taps, v1.activation, v1.max_depth) == ((4, 5, 6, 7), "relu", None)
    assert (metric.taps, metric.activation, metric.max_depth) == ((1, 3, 5, 7), "sigmoid", 20.0)
    assert type(metric.max_depth) is float, "20 and 20.0 must not give different bytes"


@pytest.mark.parametrize("taps", [(0, 1, 2, 8), (8, 9, 10, 11), (0, 1, 2, 10**30)])
def test_taps_that_the_encoder_has_not_are_refused(taps: tuple[int, int, int, int]) -> None:
    with pytest.raises(CheckpointError, match="taps"):
        infer_config(golden_shapes("v2-tiny"), Build("v2", taps=taps), path=PATH)


def test_tensors_that_inference_never_reads_may_be_absent_but_not_misshapen() -> None:
    shapes = golden_shapes("v2-tiny")
    unused = [key for key in shapes if key == "pretrained.mask_token" or "refinenet4.resConfUnit1" in key]
    assert len(unused) == 5
    assert describe({k: v for k, v in shapes.items() if k not in unused}, path=PATH) == TINY
    with pytest.raises(UnknownKeysError) as caught:
        describe({**shapes, "pretrained.mask_token": (1, 64)}, path=PATH)
    assert caught.value.misshapen == ("pretrained.mask_token: 1 x 64 instead of 1 x 128",)


def test_the_account_lists_all_that_is_missing_too_many_and_misshapen() -> None:
    shapes = golden_shapes("v2-tiny")
    del shapes["pretrained.blocks.3.norm1.weight"], shapes["depth_head.scratch.refinenet2.out_conv.bias"]
    shapes["pretrained.blocks.3.norm1.wieght"] = (128,)
    shapes["pretrained.blocks.5.attn.proj.weight"] = (128, 64)
    shapes["depth_head.scratch.layer3_rn.weight"] = (32, 64, 1, 1)
    with pytest.raises(UnknownKeysError) as caught:
        describe(shapes, path=PATH)
    error = caught.value
    assert error.missing == ("pretrained.blocks.3.norm1.weight", "depth_head.scratch.refinenet2.out_conv.bias")
    assert error.unexpected == ("pretrained.blocks.3.norm1.wieght",)
    assert error.misshapen == (
        "pretrained.blocks.5.attn.proj.weight: 128 x 64 instead of 128 x 128",
        "depth_head.scratch.layer3_rn.weight: 32 x 64 x 1 x 1 instead of 32 x 64 x 3 x 3",
    )
    for name in (*error.missing, *error.unexpected, *error.misshapen):
        assert name in str(error)


def test_a_known_name_that_does_not_belong_to_this_model_is_unexpected() -> None:
    shapes = {**golden_shapes("v2-tiny"), "pretrained.blocks.3.mlp.w12.weight": (688, 128)}
    with pytest.raises(UnknownKeysError) as caught:
        describe(shapes, path=PATH)
    assert caught.value.unexpected == ("pretrained.blocks.3.mlp.w12.weight",)


def without(shapes: dict[str, tuple[int, ...]], *blocks: int) -> dict[str, tuple[int, ...]]:
    return {key: s for key, s in shapes.items() if not key.startswith(tuple(f"pretrained.blocks.{b}." for b in blocks))}


def wider(shapes: dict[str, tuple[int, ...]], width: int) -> dict[str, tuple[int, ...]]:
    return {**shapes, "pretrained.cls_token": (1, 1, width)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda shapes: without(shapes, 2, 5), "these are missing: 2, 5"),
        (lambda shapes: without(shapes, 3, 4, 5, 6, 7), "3 blocks; the head taps 4"),
        (lambda shapes: wider(shapes, 100), "width 100 is not a multiple of 64"),
        (lambda shapes: {**shapes, "pretrained.pos_embed": (1, 251, 128)}, "250 patches, which are no square"),
        (lambda shapes: {**shapes, "pretrained.pos_embed": (1, 1, 128)}, "0 patches"),
        (lambda shapes: wider(shapes, 0), "without a single number: pretrained.cls_token"),
        (lambda shapes: {**shapes, "depth_head.scratch.layer1_rn.weight": (0, 16, 3, 3)}, "without a single number"),
        (lambda shapes: {**shapes, "pretrained.patch_embed.proj.weight": (128, 3, 14, 16)}, "14 x 16"),
    ],
)
def test_sizes_that_no_model_has_are_refused_with_the_reason(change: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        describe(change(golden_shapes("v2-tiny")), path=PATH)  # type: ignore[operator]
    assert caught.value.path == PATH


def test_a_file_without_the_tensors_that_tell_its_size_is_refused() -> None:
    shapes = golden_shapes("v2-tiny")
    del shapes["pretrained.cls_token"]
    shapes["pretrained.pos_embed"] = (257, 128)
    shapes["pretrained.surprise"] = (1,)
    with pytest.raises(UnknownKeysError) as caught:
        describe(shapes, path=PATH)
    assert caught.value.missing == ("pretrained.cls_token",)
    assert caught.value.unexpected == ("pretrained.surprise",)
    assert "pretrained.pos_embed" in caught.value.misshapen[0]


def test_a_name_with_an_absurd_block_number_costs_nothing() -> None:
    with pytest.raises(CheckpointError, match="missing: 8, 9, 10"):
        describe({**golden_shapes("v2-tiny"), "pretrained.blocks.99999.norm1.weight": (128,)}, path=PATH)
