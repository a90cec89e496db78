"""The tables run both ways and lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub.checkpoint.account import compact
from depthhub.checkpoint.pattern import Pattern
from depthhub.checkpoint.rules import DEPTHHUB, DISTILL, TRANSFORMERS, convert, invert
from depthhub.checkpoint.table import Table
from depthhub.errors import UnknownKeysError
from depthhub.testing.layouts import names_in
from depthhub.testing.shapes import Size, original_shapes

from .states import NAMES, golden_shapes, same_bits, shares_memory, state_dict, transformers_port

PATH = Path("some.pth")

DESIGN = {
    "pretrained.blocks.0.ls1.gamma": "imgencoder.blocks.0.scale_attn",
    "pretrained.blocks.0.mlp.fc1.weight": "imgencoder.blocks.0.mlp.layers.0.weight",
    "pretrained.patch_embed.proj.weight": "patch_embed.proj.weight",
    "pretrained.norm.weight": "imgencoder.outnorm.weight",
    "pretrained.cls_token": "imgencoder.cls_token",
    "depth_head.projects.0.weight": "reassemble.spatial_upx4.resample.0.weight",
    "depth_head.resize_layers.0.weight": "reassemble.spatial_upx4.resample.1.weight",
    "depth_head.resize_layers.3.weight": "reassemble.spatial_downx2.resample.1.weight",
    "depth_head.scratch.layer1_rn.weight": "reassemble.spatial_upx4.fuse_proj.weight",
    "depth_head.scratch.layer3_rn.weight": "reassemble.spatial_noscale.fuse_proj.weight",
    "depth_head.scratch.refinenet1.resConfUnit1.conv1.weight": "fusion.blocks.0.conv_reassembly.resconv_seq.1.weight",
    "depth_head.scratch.refinenet1.resConfUnit2.conv2.weight": "fusion.blocks.0.scale_proj_seq.0.resconv_seq.3.weight",
    "depth_head.scratch.refinenet1.out_conv.weight": "fusion.blocks.0.scale_proj_seq.2.weight",
    "depth_head.scratch.refinenet4.out_conv.weight": "fusion.blocks.3.scale_proj_seq.2.weight",
    "depth_head.scratch.output_conv1.weight": "head.spatial_upsampler.0.weight",
    "depth_head.scratch.output_conv2.0.weight": "head.proj_1ch.0.weight",
    "pretrained.blocks.7.mlp.w12.bias": "imgencoder.blocks.7.mlp.inner_linear_doubled.bias",
    "pretrained.blocks.7.mlp.w3.bias": "imgencoder.blocks.7.mlp.outer_linear.bias",
    "pretrained.mask_token": "unused.pretrained.mask_token",
    "depth_head.scratch.refinenet4.resConfUnit1.conv2.bias": (
        "unused.depth_head.scratch.refinenet4.resConfUnit1.conv2.bias"
    ),
}


@pytest.mark.parametrize(("original", "converted"), DESIGN.items(), ids=str)
def test_the_converted_names_are_those_of_the_design(original: str, converted: str) -> None:
    renaming = DEPTHHUB.of_original(original)
    assert renaming is not None
    assert renaming.others == (converted,)


@pytest.mark.parametrize("name", NAMES)
def test_inverting_gives_back_every_golden_state_dict_key_for_key_and_bit_for_bit(name: str) -> None:
    original = state_dict(golden_shapes(name))

    converted = convert(original, path=PATH)
    restored = invert(converted, path=PATH)

    assert list(restored) == list(original)
    assert all(same_bits(restored[key], original[key]) for key in original)
    assert not set(converted) & set(original), "every name changes"
    assert all(shares_memory(tensor, next(iter(original.values()))) for tensor in converted.values()), "views only"


sizes = st.builds(
    Size,
    width=st.sampled_from([64, 128, 192]),
    blocks=st.integers(4, 12),
    reassembly_channels=st.tuples(*[st.integers(1, 20)] * 4),
    fusion_channels=st.integers(1, 10).map(lambda half: 2 * half),
    base_grid=st.integers(1, 9),
    patch_size=st.sampled_from([8, 14, 16]),
    head_channels=st.integers(1, 32),
    mlp=st.sampled_from(["gelu", "swiglu"]),
)


@settings(max_examples=25, deadline=None)
@given(size=sizes, dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]), data=st.data())
def test_any_size_dtype_and_order_survives_the_way_there_and_back(
    size: Size, dtype: torch.dtype, data: st.DataObject
) -> None:
    made = state_dict(original_shapes(size), dtype)
    original = {key: made[key] for key in data.draw(st.permutations(list(made)))}
    absent = data.draw(st.sets(st.sampled_from(["pretrained.mask_token", "pretrained.pos_embed"])))
    original = {key: tensor for key, tensor in original.items() if key not in absent}

    restored = invert(convert(original, path=PATH), path=PATH)

    assert list(restored) == list(original)
    assert all(same_bits(restored[key], original[key]) for key in original)


def test_the_position_embedding_is_cut_behind_the_class_token() -> None:
    embedding = torch.arange(2.0 * (1 + 4)).view(1, 5, 2)
    converted = convert({"pretrained.pos_embed": embedding}, path=PATH)
    assert list(converted) == ["imgencoder.posenc.cls_embedding", "imgencoder.posenc.base_patch_embedding"]
    assert converted["imgencoder.posenc.cls_embedding"].tolist() == [[[0, 1]]]
    assert converted["imgencoder.posenc.base_patch_embedding"].tolist() == [[[2, 3], [4, 5], [6, 7], [8, 9]]]
    assert all(tensor.is_contiguous() for tensor in converted.values()), "two ranges of the file"


def test_all_unknown_names_are_listed() -> None:
    unknown = [
        "pretrained.blocks.0.mlp.fc3.weight",
        "pretrained.norm.gamma",
        "pretrained.blocks.01.norm1.weight",
        "depth_head.scratch.refinenet0.out_conv.weight",
        "depth_head.scratch.refinenet4.resConfUnit1.bn1.weight",
        "extra",
    ]
    known = {"pretrained.norm.weight": torch.zeros(1)}
    with pytest.raises(UnknownKeysError) as caught:
        convert({**known, **{name: torch.zeros(1) for name in unknown}}, path=PATH)
    assert list(caught.value.unexpected) == unknown
    assert all(name in str(caught.value) for name in unknown)
    assert caught.value.path == PATH


def test_hundreds_of_unknown_names_are_listed_in_a_few_words() -> None:
    unknown = [f"pretrained.blocks.{n}.adapter.{side}.weight" for n in range(24) for side in ("up", "down")]
    with pytest.raises(UnknownKeysError) as caught:
        convert({name: torch.zeros(1) for name in unknown}, path=PATH)
    assert list(caught.value.unexpected) == unknown
    assert "pretrained.blocks.{0-23}.adapter.up.weight; pretrained.blocks.{0-23}.adapter.down.weight" in str(
        caught.value
    )


def test_a_converted_name_that_conversion_never_gives_is_unknown_on_the_way_back() -> None:
    """The deepest fusion has no such part: its original is kept as unused."""
    name = "fusion.blocks.3.conv_reassembly.resconv_seq.1.weight"
    with pytest.raises(UnknownKeysError) as caught:
        invert({name: torch.zeros(1)}, path=PATH)
    assert caught.value.unexpected == (name,)


def test_half_a_position_embedding_is_reported_on_the_way_back() -> None:
    with pytest.raises(UnknownKeysError) as caught:
        invert({"imgencoder.posenc.cls_embedding": torch.zeros(1, 1, 4)}, path=PATH)
    assert caught.value.missing == ("imgencoder.posenc.base_patch_embedding",)


def test_parts_that_do_not_fit_are_reported_on_the_way_back() -> None:
    parts = {
        "imgencoder.posenc.cls_embedding": torch.zeros(1, 1, 4),
        "imgencoder.posenc.base_patch_embedding": torch.zeros(1, 9, 5),
    }
    with pytest.raises(UnknownKeysError) as caught:
        invert(parts, path=PATH)
    assert "imgencoder.posenc.base_patch_embedding" in caught.value.misshapen[0]


@pytest.mark.parametrize(("table", "lengths"), [(TRANSFORMERS, (0, 6, 3)), (DEPTHHUB, (2, 4))], ids=["thirds", "first"])
def test_parts_that_would_be_cut_elsewhere_are_reported_on_the_way_back(table: Table, lengths: tuple[int, ...]) -> None:
    """Their sum is right, so that no shape would tell."""
    if table is TRANSFORMERS:
        others = table.of_original("pretrained.blocks.0.attn.qkv.weight").others  # type: ignore[union-attr]
        parts = {other: torch.zeros(length, 3) for other, length in zip(others, lengths, strict=True)}
    else:
        others = table.of_original("pretrained.pos_embed").others  # type: ignore[union-attr]
        parts = {other: torch.zeros(1, length, 3) for other, length in zip(others, lengths, strict=True)}
    with pytest.raises(UnknownKeysError, match=f"the parts have the lengths {', '.join(map(str, lengths))}"):
        table.to_original(parts, path=PATH)


def test_a_position_embedding_that_cannot_be_cut_is_reported() -> None:
    with pytest.raises(UnknownKeysError) as caught:
        convert({"pretrained.pos_embed": torch.zeros(5)}, path=PATH)
    assert "pretrained.pos_embed" in caught.value.misshapen[0]


@pytest.mark.parametrize("table", [TRANSFORMERS, DISTILL], ids=["transformers", "distill"])
@pytest.mark.parametrize("name", ["v2-vits", "v2-tiny-swiglu"])
def test_the_sibling_tables_know_every_name_and_agree_with_a_second_hand(name: str, table: object) -> None:
    """`depthhub.testing` spells the other layouts out on its own."""
    layout = "transformers" if table is TRANSFORMERS else "distill"
    for key in golden_shapes(name):
        renaming = (TRANSFORMERS if table is TRANSFORMERS else DISTILL).of_original(key)
        assert renaming is not None, key
        assert renaming.others == names_in(layout, key)


def test_what_transformers_wrote_is_the_original_state_dict_with_query_key_and_value_joined() -> None:
    _, shapes = transformers_port()
    port = state_dict(shapes)

    restored = TRANSFORMERS.to_original(port, path=PATH)

    assert {key: tuple(weight.shape) for key, weight in restored.items()} == golden_shapes("v2-vits")
    back = TRANSFORMERS.from_original(restored, path=PATH)
    assert back.keys() == port.keys()
    assert all(same_bits(back[key], port[key]) for key in port)


def test_a_tensor_that_has_no_three_equal_parts_loses_nothing_but_is_reported() -> None:
    with pytest.raises(UnknownKeysError) as caught:
        TRANSFORMERS.from_original({"pretrained.blocks.0.attn.qkv.bias": torch.zeros(4)}, path=PATH)
    assert "pretrained.blocks.0.attn.qkv.bias" in caught.value.misshapen[0]


def test_numbers_in_names_are_put_together_and_gaps_shown() -> None:
    names = [f"blocks.{n}.norm.{side}" for side in ("weight", "bias") for n in (5, 0, 1, 2, 9)]
    assert compact([*names, "norm.weight", "blocks.07.x"]) == [
        "blocks.{0-2,5,9}.norm.weight",
        "blocks.{0-2,5,9}.norm.bias",
        "norm.weight",
        "blocks.07.x",
    ]


def test_query_key_and_value_are_joined_in_this_order_and_not_before_somebody_asks() -> None:
    block = "backbone.encoder.layer.3.attention.attention"
    parts = {f"{block}.{part}.weight": torch.full((2, 2), i) for i, part in enumerate(("value", "key", "query"))}
    (name, joined), *_ = TRANSFORMERS.to_original(parts, path=PATH).items()
    assert name == "pretrained.blocks.3.attn.qkv.weight"
    assert not isinstance(joined, torch.Tensor)
    assert joined.tensor()[:, 0].tolist() == [2, 2, 1, 1, 0, 0]


@given(number=st.integers(1, 99_997), text=st.sampled_from(["a.#.*", "a.{#-1}.*", "a.{#+2}.*", "b#.**"]))
def test_a_filled_pattern_matches_with_the_same_blanks(number: int, text: str) -> None:
    pattern = Pattern(text)
    blanks = Pattern("x.#.**").match(f"x.{number}.weight")
    assert blanks is not None
    name = pattern.fill(blanks)
    found = pattern.match(name)
    assert found == blanks


def test_arithmetic_counts_up_and_down() -> None:
    assert Pattern("blocks.{#-1}.weight").match("blocks.0.weight") == (1, "")
    assert Pattern("layers.{4-#}.*").match("layers.1.bias") == (3, "bias")
    assert Pattern("layers.{4-#}.*").fill(Pattern("r#.*").match("r3.bias")) == "layers.1.bias"  # type: ignore[arg-type]
    assert Pattern("blocks.#").match("blocks.007") is None
    assert Pattern("blocks.#").match("blocks.-1") is None
