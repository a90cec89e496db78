"""What lies beside the weights states how to build the model; a name only suggests it."""

from __future__ import annotations

import json

import pytest

from depthhub.checkpoint.header import ConvertedHeader
from depthhub.checkpoint.hints import build_from_config_json, guess_from_file_name
from depthhub.checkpoint.recipe import Recipe
from depthhub.model.config import Build
from depthhub.testing.layouts import transformers_config

from .states import transformers_port
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
        {"backbone_config": None},
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


def test_the_authors_own_config_states_v1_by_an_argument_that_only_v1_has() -> None:
    v2 = {"encoder": "vits", "features": 64, "out_channels": [48, 96, 192, 384], "use_bn": False, "use_clstoken": False}
    assert build_from_config_json({**v2, "localhub": False}) == Build("v1")
    assert build_from_config_json({**v2, "max_depth": 80}) == Build("v2-metric", 80)
    assert build_from_config_json(v2) is None, "V1 and V2 have these in common"


def test_our_own_header_states_its_build() -> None:
    build = Build("v2-metric", 20)
    header = ConvertedHeader(TINY.config(build), Recipe(build), "0" * 64)  # type: ignore[arg-type]
    assert build_from_config_json(json.loads(header.to_text())) == build


@pytest.mark.parametrize("data", [None, [], "vitl", 3, {}, {"model_type": "bert"}, {"model_type": "depth_anything"}])
def test_anything_else_states_nothing(data: object) -> None:
    assert build_from_config_json(data) is None


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
