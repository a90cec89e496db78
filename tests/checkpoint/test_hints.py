"""What lies beside the weights states how to build the model; a name only suggests it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub.checkpoint.header import ConvertedHeader
from depthhub.checkpoint.hints import (
    build_from_config_json,
    contradiction,
    guess_from_file_name,
    is_of_another_model,
)
from depthhub.checkpoint.recipe import Recipe
from depthhub.checkpoint.shapes import describe
from depthhub.model.config import Build
from depthhub.testing.layouts import transformers_config

from .states import golden_shapes, transformers_port
from .test_shapes import TINY


def test_the_config_that_transformers_wrote_states_v2() -> None:
    config, _ = transformers_port()
    assert build_from_config_json(config) == Build("v2")


@pytest.mark.parametrize("encoder", ["vits", "vitb", "vitl", "tiny"])
@pytest.mark.parametrize(
    "build", [Build("v1"), Build("v2"), Build("v2-metric", 20.0), Build("v2-metric", 80.0)], ids=str
)
def test_the_config_of_a_transformers_port_states_family_and_depth(encoder: str, build: Build) -> None:
    config = transformers_config(encoder, family=build.family, max_depth=build.max_depth)
    assert build_from_config_json(json.loads(json.dumps(config))) == build


def test_other_taps_are_stated_too() -> None:
    config = transformers_config("tiny", family="v2", taps=(0, 2, 4, 7))
    assert build_from_config_json(config) == Build("v2", taps=(0, 2, 4, 7))
    config = transformers_config("tiny", family="v2-metric", max_depth=20, taps=(4, 5, 6, 7))
    assert build_from_config_json(config) == Build("v2-metric", 20, (4, 5, 6, 7))


def test_stage_names_serve_where_indices_are_left_out() -> None:
    config = transformers_config("vitl", family="v1")
    backbone = config["backbone_config"]
    assert isinstance(backbone, dict)
    del backbone["out_indices"]
    assert build_from_config_json(config) == Build("v1")


@pytest.mark.parametrize(
    "change",
    [
        {"depth_estimation_type": "metric", "max_depth": None},
        {"depth_estimation_type": "metric", "max_depth": -1},
        {"depth_estimation_type": "metric", "max_depth": "deep"},
        {"depth_estimation_type": "stereo"},
        {"depth_estimation_type": "relative", "max_depth": 80},
        {"depth_estimation_type": "relative", "max_depth": "1"},
        {"backbone": "facebook/dinov2-small"},
        {"use_timm_backbone": True},
        {"backbone_config": {"out_indices": [3, 6, 9, 12], "out_features": ["stage1", "stage2", "stage3", "stage4"]}},
        {"backbone_config": {"out_indices": [3, 6, 9, 12], "out_features": 4}},
        {"depth_estimation_type": "metric", "max_depth": True},
        {"depth_estimation_type": "metric", "max_depth": float("inf")},
        {"depth_estimation_type": "metric", "max_depth": 10**400},
        {"head_in_index": 0},
        {"reassemble_factors": [1, 1, 1, 1]},
        {"backbone_config": None},
        {"backbone_config": {"out_indices": [3, 6, 9, 12], "num_hidden_layers": 12.0}},
        {"backbone_config": {"out_indices": [12]}},
        {"backbone_config": {"out_indices": [3, 6, 9, 99], "num_hidden_layers": 12}},
        {"backbone_config": {"out_indices": [12, 9, 6, 3], "num_hidden_layers": 12}},
        {"backbone_config": {"out_indices": [3, 9, 6, 12], "num_hidden_layers": 12}},
        {"backbone_config": {"out_features": ["a", "b", "c", "d"]}},
        {"backbone_config": {"out_indices": [3, 6, 9, 12], "num_hidden_layers": None}},
    ],
)
def test_a_config_that_does_not_decide_states_nothing(change: dict[str, object]) -> None:
    assert build_from_config_json({**transformers_config("vits"), **change}) is None


@pytest.mark.parametrize("max_depth", [None, 0, 1, 1.0])
def test_a_relative_depth_that_is_multiplied_by_nothing_is_stated(max_depth: float | None) -> None:
    assert build_from_config_json({**transformers_config("vits"), "max_depth": max_depth}) == Build("v2")
    config = {**transformers_config("vits"), "max_depth": max_depth}
    del config["depth_estimation_type"]
    assert build_from_config_json(config) == Build("v2")
    assert build_from_config_json({**config, "max_depth": 80}) is None


def test_a_config_of_transformers_that_no_build_expresses_is_of_another_model() -> None:
    config = transformers_config("vits")
    assert not is_of_another_model(config)
    assert is_of_another_model({**config, "head_in_index": 2})
    assert is_of_another_model({"model_type": "zoedepth"})
    assert not is_of_another_model({"encoder": "vits", "features": 64, "out_channels": []}), "it says nothing"
    assert not is_of_another_model({})


def test_the_authors_own_config_states_v1_by_an_argument_that_only_v1_has() -> None:
    v2 = {"encoder": "vits", "features": 64, "out_channels": [48, 96, 192, 384], "use_bn": False, "use_clstoken": False}
    assert build_from_config_json({**v2, "localhub": False}) == Build("v1")
    assert build_from_config_json({**v2, "max_depth": 80}) == Build("v2-metric", 80)
    assert build_from_config_json(v2) is None, "V1 and V2 have these in common"
    assert build_from_config_json({**v2, "max_depth": 80, "frames": 32}) is None, "no constructor here has that"
    assert build_from_config_json({**v2, "localhub": False, "frames": 32}) is None


@pytest.mark.parametrize(
    ("arguments", "build"),
    [
        ({"max_depth": 150.0, "mode": "disparity", "pretrain_type": "dinov2", "del_mask_token": True}, Build("v2")),
        ({"mode": "disparity", "pretrain_type": "dinov2", "num_depth_regressor_anchor": 512}, Build("v2")),
        ({"mode": "disparity", "pretrain_type": "dinov2", "use_registers": True}, None),
        ({"mode": "disparity", "max_depth": 1.0}, None),
        ({"max_depth": 1.0, "mode": "metric", "pretrain_type": "dinov2", "del_mask_token": True}, None),
        ({"max_depth": 1.0, "mode": "disparity", "pretrain_type": "imagenet", "del_mask_token": True}, None),
        ({"localhub": True, "dino_pretrained": "", "version": "v2"}, Build("v2")),
        ({"localhub": True, "dino_pretrained": "", "version": "v1"}, Build("v1")),
        ({"localhub": True, "dino_pretrained": "", "version": "v3"}, None),
        ({"localhub": True, "dino_pretrained": ""}, None),
        ({"version": ["v2"]}, None),
    ],
)
def test_constructors_of_other_families_have_some_arguments_too(
    arguments: dict[str, object], build: Build | None
) -> None:
    """A fine-tune of Distill-Any-Depth, pushed by its own class, is relative whatever `max_depth` says."""
    common = {"encoder": "vitl", "features": 256, "out_channels": [256, 512, 1024, 1024], "use_bn": False}
    assert build_from_config_json({**common, **arguments}) == build


def test_a_converted_files_header_in_a_config_json_states_nothing() -> None:
    """It describes the file that it is in, and no other of the same size."""
    build = Build("v2-metric", 20)
    header = ConvertedHeader(TINY.config(build), Recipe(build), "0" * 64)  # type: ignore[arg-type]
    assert build_from_config_json(json.loads(header.to_text())) is None


@pytest.mark.parametrize("data", [None, [], "vitl", 3, {}, {"model_type": "bert"}, {"model_type": "depth_anything"}])
def test_anything_else_states_nothing(data: object) -> None:
    assert build_from_config_json(data) is None


KEYS = [
    *("model_type", "backbone_config", "depth_estimation_type", "max_depth", "head_in_index", "reassemble_factors"),
    *("out_indices", "out_features", "num_hidden_layers", "hidden_size", "num_attention_heads", "layer_norm_eps"),
    *("encoder", "features", "out_channels", "localhub", "config", "recipe", "content_hash"),
    *("build", "family", "taps", "blocks", "width", "heads"),
]
WORDS = ["depth_anything", "metric", "relative", "dinov2", "gelu", "vits", "stage3", "v1", "v2-metric", "9" * 5000]
NUMBERS = [float("inf"), float("nan"), 10**400, True, 12, 768, -1, 1e-6, 20]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*WORDS, *NUMBERS]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=8),
    max_leaves=20,
)
CHANGES = st.dictionaries(st.sampled_from(KEYS), ANY_JSON, max_size=3)
KNOWN = [
    transformers_config("vits"),
    {"encoder": "vits", "features": 64, "out_channels": [48], "localhub": False},
    {"config": TINY.config(Build("v2")).to_json(), "recipe": Recipe(Build("v2")).to_json(), "content_hash": "0"},
]


@settings(max_examples=300, deadline=None)
@given(known=st.sampled_from([{}, *KNOWN]), change=ANY_JSON | CHANGES, inside=CHANGES)
def test_no_json_at_all_is_an_error(known: dict[str, object], change: object, inside: dict[str, object]) -> None:
    data = {**known, **change} if isinstance(change, dict) else change
    for room in ("backbone_config", "recipe", "config"):
        if isinstance(data, dict) and isinstance(data.get(room), dict):
            data[room] = {**data[room], **inside}
    build = build_from_config_json(data)
    assert build is None or isinstance(build, Build)
    difference = contradiction(data, TINY)
    assert difference is None or difference.startswith("its config.json says")


@pytest.mark.parametrize("known", KNOWN, ids=["transformers", "constructor", "ours"])
def test_a_value_as_deep_as_json_goes_is_no_error(known: dict[str, object]) -> None:
    deep: object = []
    for _ in range(100_000):
        deep = [deep]
    for key in known:
        build_from_config_json({**known, key: deep})
        contradiction({**known, key: deep}, TINY)
    for key in ("out_indices", "out_features", "num_hidden_layers", "layer_norm_eps"):
        data = transformers_config("vits")
        data["backbone_config"] = {**data["backbone_config"], key: deep}  # type: ignore[dict-item]
        assert build_from_config_json(data) is None or key == "out_features"
        contradiction(data, TINY)


@pytest.mark.parametrize(
    "detail",
    [
        {"layer_norm_eps": 1e-5},
        {"apply_layernorm": False},
        {"hidden_act": "gelu_new"},
        {"hidden_act": None},
        {"reshape_hidden_states": True},
        {"model_type": "dinov2_with_registers"},
        {"hidden_size": 768, "num_attention_heads": 6},
        {"hidden_size": 768, "num_attention_heads": "12"},
        {"hidden_size": 320, "num_attention_heads": 6},
    ],
    ids=str,
)
def test_another_encoder_than_dinov2_states_nothing(detail: dict[str, object]) -> None:
    config = transformers_config("vits")
    backbone = config["backbone_config"]
    assert isinstance(backbone, dict)
    backbone.update(detail)
    assert build_from_config_json(config) is None
    for key in detail:
        del backbone[key]
    assert build_from_config_json(config) is not None, "left out, it is the default"


SMALL, LARGE, SWIGLU = (
    describe(golden_shapes(name), path=Path(name)) for name in ("v2-vits", "v2-vitl", "v2-tiny-swiglu")
)


def test_a_config_of_another_size_than_the_weights_is_told_in_words() -> None:
    config = transformers_config("vits")
    assert contradiction(config, SMALL) is None
    assert contradiction(config, LARGE) == (
        "its config.json says 12 blocks and width 384 and 6 heads and reassemble_hidden_size 384 and "
        "neck_hidden_sizes [48, 96, 192, 384] and fusion_hidden_size 64, but the tensors have 24 blocks and width 1024 "
        "and 16 heads and reassemble_hidden_size 1024 and neck_hidden_sizes [256, 512, 1024, 1024] and "
        "fusion_hidden_size 256"
    )
    assert contradiction(config, replace(SMALL, heads=12)) == (
        "its config.json says 6 heads, but the tensors have 12 heads"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("patch_size", 16),
        ("neck_hidden_sizes", [1, 2, 3, 4]),
        ("reassemble_hidden_size", 5),
        ("fusion_hidden_size", 7),
        ("head_hidden_size", 7),
        ("backbone_config.patch_size", 16),
        ("backbone_config.mlp_ratio", 3),
        ("backbone_config.mlp_ratio", "4"),
        ("backbone_config.mlp_ratio", float("inf")),
        ("backbone_config.qkv_bias", False),
        ("backbone_config.num_channels", 4),
        ("backbone_config.use_swiglu_ffn", True),
    ],
)
def test_whatever_shapes_tell_of_a_config_is_held_against_them(name: str, said: object) -> None:
    config = transformers_config("vits")
    inside, _, name = name.rpartition(".")
    place = config[inside] if inside else config
    assert isinstance(place, dict)
    place[name] = said
    assert contradiction(config, SMALL)
    place[name] = None
    assert contradiction(config, SMALL) is None, "not stated"


def test_a_feed_forward_with_gates_is_as_wide_as_transformers_makes_it() -> None:
    config = transformers_config("tiny-swiglu")
    assert contradiction(config, SWIGLU) is None
    assert "feed-forward" in str(contradiction(config, replace(SWIGLU, mlp_width=512)))


def test_what_transformers_leaves_out_is_its_default_and_contradicts_like_a_word() -> None:
    config = {"model_type": "depth_anything", "backbone_config": {"out_indices": [3, 6, 9, 12]}}
    assert contradiction(config, replace(TINY, width=768, blocks=12, heads=12)) is None
    assert "12 blocks" in str(contradiction(config, replace(TINY, width=768, blocks=24, heads=12)))


def test_the_authors_config_is_held_against_the_weights_too() -> None:
    authors = {"encoder": "vits", "features": 64, "out_channels": [48, 96, 192, 384], "localhub": False}
    assert contradiction(authors, SMALL) is None
    assert "24 blocks" in str(contradiction(authors, LARGE))
    assert "features 65" in str(contradiction({**authors, "features": 65}, SMALL))
    assert contradiction({**authors, "encoder": "vith"}, SMALL) is None, "of a name that nobody knows nothing is known"


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("depth_anything_v2_vits.pth", Build("v2")),
        ("depth_anything_v2_vitg.pth", Build("v2")),
        ("Depth-Anything-V2-ViTL.safetensors", Build("v2")),
        ("depth_anything_v2_vitl_fp16.safetensors", Build("v2")),
        ("checkpoints/depth_anything_vitl14.pth", Build("v1")),
        ("C:\\weights\\depth_anything_vitb14.pth", Build("v1")),
        ("depth_anything_v2_metric_hypersim_vitl.pth", Build("v2-metric", 20)),
        ("depth_anything_v2_metric_vkitti_vits.pth", Build("v2-metric", 80)),
    ],
)
def test_the_authors_file_names_suggest(name: str, build: Build) -> None:
    assert guess_from_file_name(name) == build


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "pytorch_model.bin",
        "video_depth_anything_vits.pth",
        "metric_video_depth_anything_vits.pth",
        "depth_anything_metric_depth_indoor.pt",
        "depth_anything_AC_vits.pth",
        "prior_depth_anything_vitb.pth",
        "depth_anything_v2_metric_vitl.pth",
        "depth_anything_v2_metric_nyu_vitl.pth",
        "depth_anything_v22_vitl.pth",
        "depth_anything_vitl.pth",
        "my_depth_anything_v2_vits.pth",
        "depth_anything_v2_vits_finetuned_on_kitti.pth",
        "",
    ],
)
def test_any_other_name_suggests_nothing(name: str) -> None:
    assert guess_from_file_name(name) is None
