"""make_checkpoint writes what the authors, Distill-Any-Depth and transformers would have written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from depthhub.testing import Size, make_checkpoint, original_shapes, reference_tensor, transformers_config

GOLDEN = Path(__file__).parents[1] / "golden"
SHAPES = sorted(GOLDEN.glob("*.shapes.json"))
TRANSFORMERS = json.loads((GOLDEN / "v2-vits.transformers-format.json").read_text())
ENCODERS = {"vits", "vitb", "vitl", "tiny"}
QKV = ("query", "key", "value")


def original(**options):
    return {key: torch.from_numpy(reference_tensor(key, shape)) for key, shape in original_shapes(**options).items()}


def equal(found, expected):
    return list(found) == list(expected) and all(torch.equal(found[key], expected[key]) for key in expected)


# --- shapes


@pytest.mark.parametrize("golden", SHAPES, ids=lambda path: path.name.removesuffix(".shapes.json"))
def test_shapes_are_those_of_the_authors_in_their_order(golden):
    name = golden.name.removesuffix(".shapes.json")
    encoder = "tiny-swiglu" if name.endswith("swiglu") else next(part for part in name.split("-") if part in ENCODERS)

    assert [[key, list(shape)] for key, shape in original_shapes(encoder).items()] == [
        [key, shape] for key, shape in json.loads(golden.read_text()).items()
    ]


def test_the_giant_has_as_many_tensors_as_was_reported():
    shapes = original_shapes("vitg")

    assert len(shapes) == 631
    assert shapes["pretrained.blocks.39.mlp.w12.weight"] == (8192, 1536)


def test_a_size_that_nobody_released_has_shapes_too():
    size = Size(
        width=192, blocks=5, reassembly_channels=(8, 16, 24, 40), fusion_channels=48, base_grid=9, patch_size=16
    )

    shapes = original_shapes(size)

    assert shapes["pretrained.pos_embed"] == (1, 82, 192)
    assert shapes["pretrained.patch_embed.proj.weight"] == (192, 3, 16, 16)
    assert shapes["depth_head.scratch.layer4_rn.weight"] == (48, 40, 3, 3)
    assert sum(key.endswith("ls2.gamma") for key in shapes) == 5


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'vitx' is none of vits, vitb"):
        original_shapes("vitx")


# --- containers


@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
def test_every_container_holds_the_same_tensors(tmp_path, container):
    path = make_checkpoint(tmp_path / "file", container=container)

    found = load_file(path) if container == "safetensors" else torch.load(path, weights_only=True)

    expected = original()
    assert equal({key: found[key] for key in expected}, expected)
    assert len(found) == len(expected)


def test_a_pth_keeps_the_order_of_the_state_dict_and_can_be_mapped(tmp_path):
    found = torch.load(make_checkpoint(tmp_path / "tiny.pth"), weights_only=True, mmap=True)

    assert list(found) == list(original_shapes())


def test_a_legacy_file_is_no_zip(tmp_path):
    path = make_checkpoint(tmp_path / "tiny.pth", container="legacy")

    assert not path.read_bytes().startswith(b"PK")
    assert make_checkpoint(tmp_path / "new.pth").read_bytes().startswith(b"PK")


def test_the_suffix_decides_where_no_container_is_named(tmp_path):
    with safe_open(make_checkpoint(tmp_path / "tiny.safetensors"), framework="pt") as file:
        assert set(file.keys()) == set(original_shapes())
        assert file.metadata() == {"format": "pt"}


def test_safetensors_data_begins_aligned(tmp_path):
    for prefix in ("", "a", "ab", "abc"):
        path = make_checkpoint(tmp_path / "tiny.safetensors", prefix=prefix)
        assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_the_same_arguments_give_the_same_bytes_in_another_process(tmp_path):
    code = (
        "import sys; from depthhub.testing import make_checkpoint; [make_checkpoint(p, seed=3) for p in sys.argv[1:]]"
    )
    there = [tmp_path / "there.pth", tmp_path / "there.safetensors"]
    subprocess.run([sys.executable, "-c", code, *there], check=True)

    for path in there:
        assert make_checkpoint(tmp_path / f"here{path.suffix}", seed=3).read_bytes() == path.read_bytes()


def test_another_seed_gives_other_values_of_the_same_shapes(tmp_path):
    first = load_file(make_checkpoint(tmp_path / "0.safetensors"))
    second = load_file(make_checkpoint(tmp_path / "1.safetensors", seed=1))

    assert {key: tensor.shape for key, tensor in first.items()} == {k: t.shape for k, t in second.items()}
    assert not any(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_values_are_rounded_to_the_dtype_that_is_asked_for(tmp_path, suffix, dtype):
    path = make_checkpoint(tmp_path / f"tiny{suffix}", dtype=dtype)
    found = load_file(path) if suffix == ".safetensors" else torch.load(path, weights_only=True)

    expected = {key: tensor.to(getattr(torch, dtype)) for key, tensor in original().items()}
    assert equal({key: found[key] for key in expected}, expected)


# --- wrappers and prefixes


def test_weights_may_be_wrapped_and_prefixed_as_training_leaves_them(tmp_path):
    path = make_checkpoint(tmp_path / "tiny.pth", wrapper="model", beside={"epoch": 7}, prefix="module.")

    found = torch.load(path, weights_only=True)

    assert list(found) == ["model", "epoch"]
    assert found["epoch"] == 7
    assert list(found["model"]) == [f"module.{key}" for key in original_shapes()]


def test_safetensors_takes_a_prefix_but_no_wrapper(tmp_path):
    found = load_file(make_checkpoint(tmp_path / "tiny.safetensors", prefix="module."))

    assert set(found) == {f"module.{key}" for key in original_shapes()}
    with pytest.raises(ValueError, match="only tensors"):
        make_checkpoint(tmp_path / "tiny.safetensors", wrapper="model")


def test_any_shapes_may_be_given(tmp_path):
    shapes = {"pretrained.cls_token": (1, 1, 4), "something.else": (2,)}

    found = torch.load(make_checkpoint(tmp_path / "odd.pth", shapes=shapes), weights_only=True)

    assert equal(found, {key: torch.from_numpy(reference_tensor(key, shape)) for key, shape in shapes.items()})


# --- layouts


def test_distill_renames_the_encoder_and_leaves_the_head(tmp_path):
    found = load_file(make_checkpoint(tmp_path / "tiny.safetensors", layout="distill"))
    expected = original()

    assert len(found) == len(expected)
    for key, theirs in [
        ("pretrained.blocks.7.attn.qkv.weight", "backbone.blocks.0.7.attn.qkv.weight"),
        ("pretrained.pos_embed", "backbone.pos_embed"),
        ("pretrained.norm.bias", "backbone.norm.bias"),
        ("depth_head.projects.0.weight", "depth_head.projects.0.weight"),
    ]:
        assert torch.equal(found[theirs], expected[key])
    # The way back that the authors' users take.
    back = {k.replace("backbone.blocks.0.", "pretrained.blocks.").replace("backbone.", "pretrained."): k for k in found}
    assert set(back) == set(expected)
    assert all(torch.equal(found[back[key]], expected[key]) for key in expected)


def test_transformers_keys_and_shapes_are_those_of_a_file_it_wrote(tmp_path):
    path = make_checkpoint(tmp_path / "vits.safetensors", encoder="vits", layout="transformers")

    with safe_open(path, framework="pt") as file:
        found = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 - it is no dict
    assert found == TRANSFORMERS["model.safetensors"]


@pytest.mark.parametrize("encoder", ["tiny", "tiny-swiglu"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_transformers_values_are_the_originals_and_qkv_in_thirds(tmp_path, encoder, suffix):
    path = make_checkpoint(tmp_path / f"tiny{suffix}", encoder=encoder, layout="transformers")
    found = load_file(path) if suffix == ".safetensors" else torch.load(path, weights_only=True)
    expected = original(encoder=encoder)

    for block in range(8):
        for word in ("weight", "bias"):
            theirs = f"backbone.encoder.layer.{block}.attention.attention"
            joined = torch.cat([found.pop(f"{theirs}.{part}.{word}") for part in QKV])
            assert torch.equal(joined, expected.pop(f"pretrained.blocks.{block}.attn.qkv.{word}"))
    # What is left was only renamed: the same tensors under other names.
    assert sorted(tensor.numpy().tobytes() for tensor in found.values()) == sorted(
        tensor.numpy().tobytes() for tensor in expected.values()
    )
    for key, theirs in [
        ("pretrained.pos_embed", "backbone.embeddings.position_embeddings"),
        ("pretrained.blocks.3.ls2.gamma", "backbone.encoder.layer.3.layer_scale2.lambda1"),
        ("pretrained.blocks.3.norm1.bias", "backbone.encoder.layer.3.norm1.bias"),
        ("pretrained.norm.weight", "backbone.layernorm.weight"),
        ("depth_head.resize_layers.3.weight", "neck.reassemble_stage.layers.3.resize.weight"),
        ("depth_head.scratch.layer2_rn.weight", "neck.convs.1.weight"),
        # Its fusion begins with the deepest.
        (
            "depth_head.scratch.refinenet4.resConfUnit2.conv1.bias",
            "neck.fusion_stage.layers.0.residual_layer2.convolution1.bias",
        ),
        ("depth_head.scratch.refinenet1.out_conv.bias", "neck.fusion_stage.layers.3.projection.bias"),
        ("depth_head.scratch.output_conv2.0.weight", "head.conv2.weight"),
        ("depth_head.scratch.output_conv2.2.weight", "head.conv3.weight"),
    ]:
        assert torch.equal(found[theirs], expected[key])


def test_a_part_of_qkv_is_a_tensor_of_its_own(tmp_path):
    shapes = {"pretrained.blocks.0.attn.qkv.weight": (3 * 4, 4)}
    path = make_checkpoint(tmp_path / "qkv.pth", shapes=shapes, layout="transformers")

    for part in torch.load(path, weights_only=True).values():
        assert part.untyped_storage().nbytes() == part.nbytes == 4 * 4 * 4


def test_a_key_that_transformers_does_not_know_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no name for the original key 'something\.else'"):
        make_checkpoint(tmp_path / "odd.pth", shapes={"something.else": (2,)}, layout="transformers")


# --- the config of transformers


def test_the_config_agrees_with_the_one_that_transformers_wrote():
    theirs = TRANSFORMERS["config.json"]
    config = transformers_config("vits")

    backbone = config.pop("backbone_config")
    assert config.items() <= theirs.items()
    assert backbone.items() <= theirs["backbone_config"].items()


@pytest.mark.parametrize(
    ("encoder", "family", "indices"),
    [
        ("vitl", "v2", [5, 12, 18, 24]),
        ("vitl", "v1", [21, 22, 23, 24]),
        ("vitg", "v2", [10, 20, 30, 40]),
        ("tiny", "v2", [2, 4, 6, 8]),
        ("tiny", "v1", [5, 6, 7, 8]),
    ],
)
def test_the_config_counts_taps_from_the_first_block_as_stage_one(encoder, family, indices):
    backbone = transformers_config(encoder, family=family)["backbone_config"]

    assert backbone["out_indices"] == indices
    assert backbone["out_features"] == [f"stage{index}" for index in indices]


def test_the_config_says_metric_and_how_far():
    config = transformers_config("tiny-swiglu", family="v2-metric", max_depth=80.0)

    assert (config["depth_estimation_type"], config["max_depth"]) == ("metric", 80.0)
    assert config["backbone_config"]["use_swiglu_ffn"] is True
    assert config["backbone_config"]["image_size"] == 16 * 14
    with pytest.raises(ValueError, match="max_depth"):
        transformers_config("tiny", family="v2", max_depth=80.0)
    with pytest.raises(ValueError, match="max_depth"):
        transformers_config("tiny", family="v2-metric")
