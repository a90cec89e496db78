"""How others name the same tensors. Written down here a second time, apart from `depthhub.checkpoint`, whose
reading of these layouts is tested against it.
"""

from __future__ import annotations

import re
from typing import Literal

from depthhub.testing.shapes import Size, find_size

Layout = Literal["original", "distill", "transformers"]
Family = Literal["v1", "v2", "v2-metric"]


def names_in(layout: Layout, key: str) -> tuple[str, ...]:
    """What `layout` calls the tensor of an original key: one name, or three for a tensor that it keeps in thirds."""
    if layout == "original":
        return (key,)
    if layout == "distill":
        return (_in_distill(key),)
    for pattern, names in _TRANSFORMERS:
        if found := pattern.fullmatch(key):
            return tuple(found.expand(name) for name in names)
    raise ValueError(f"transformers has no name for the original key {key!r}")


def transformers_config(
    encoder: str | Size = "tiny",
    *,
    family: Family = "v2",
    max_depth: float | None = None,
    taps: tuple[int, int, int, int] | None = None,
) -> dict[str, object]:
    """The config.json that transformers keeps beside a checkpoint in its layout.

    encoder: as in `original_shapes`. family, max_depth (metres): how the model is built; max_depth goes with
    `v2-metric` only. taps: tapped blocks (0-based); None: what the authors do.
    """
    if (family == "v2-metric") != (max_depth is not None):
        raise ValueError(f"max_depth goes with family v2-metric; got max_depth={max_depth} and family {family}")
    size = find_size(encoder)
    # The embedding is "stem", so that block 0 is "stage1".
    indices = [tap + 1 for tap in taps or _taps(family, size.blocks)]
    stages = ["stem", *(f"stage{number}" for number in range(1, size.blocks + 1))]
    backbone = {
        "model_type": "dinov2",
        "apply_layernorm": True,
        "hidden_act": "gelu",
        "hidden_size": size.width,
        "image_size": size.base_grid * size.patch_size,
        "layer_norm_eps": 1e-6,
        "mlp_ratio": 4,
        "num_attention_heads": size.width // 64,
        "num_channels": 3,
        "num_hidden_layers": size.blocks,
        "out_features": [stages[index] for index in indices],
        "out_indices": indices,
        "patch_size": size.patch_size,
        "qkv_bias": True,
        "reshape_hidden_states": False,
        "stage_names": stages,
        "use_mask_token": True,
        "use_swiglu_ffn": size.mlp == "swiglu",
    }
    return {
        "architectures": ["DepthAnythingForDepthEstimation"],
        "backbone_config": backbone,
        "depth_estimation_type": "metric" if family == "v2-metric" else "relative",
        "fusion_hidden_size": size.fusion_channels,
        "head_hidden_size": size.head_channels,
        "head_in_index": -1,
        "max_depth": 1 if max_depth is None else max_depth,
        "model_type": "depth_anything",
        "neck_hidden_sizes": list(size.reassembly_channels),
        "patch_size": size.patch_size,
        "reassemble_factors": [4, 2, 1, 0.5],
        "reassemble_hidden_size": size.width,
    }


def _in_distill(key: str) -> str:
    """Distill-Any-Depth's large model: DINOv2 in one chunk, as `backbone`; the head as it was."""
    return re.sub(r"^pretrained\.", "backbone.", re.sub(r"^pretrained\.blocks\.", "backbone.blocks.0.", key))


def _taps(family: Family, blocks: int) -> tuple[int, ...]:
    if family == "v1":
        return tuple(range(blocks - 4, blocks))
    released = {12: (2, 5, 8, 11), 24: (4, 11, 17, 23), 40: (9, 19, 29, 39)}
    return released.get(blocks) or tuple(blocks * quarter // 4 - 1 for quarter in (1, 2, 3, 4))


_BLOCK = "pretrained.blocks.#"
_LAYER = r"backbone.encoder.layer.\1"
_ATTENTION = f"{_LAYER}.attention.attention"
_REFINENETS = tuple(
    (f"depth_head.scratch.refinenet{number}.{theirs}.@", f"neck.fusion_stage.layers.{4 - number}.{name}")
    for number in (1, 2, 3, 4)
    for theirs, name in (
        ("out_conv", r"projection.\1"),
        ("resConfUnit#.conv#", r"residual_layer\1.convolution\2.\3"),
    )
)
"""transformers counts the fusion from the deepest, `refinenet4`, on."""

_ROWS: tuple[tuple[str, ...], ...] = (
    ("pretrained.cls_token", "backbone.embeddings.cls_token"),
    ("pretrained.mask_token", "backbone.embeddings.mask_token"),
    ("pretrained.pos_embed", "backbone.embeddings.position_embeddings"),
    ("pretrained.patch_embed.proj.@", r"backbone.embeddings.patch_embeddings.projection.\1"),
    (f"{_BLOCK}.attn.qkv.@", *(rf"{_ATTENTION}.{part}.\2" for part in ("query", "key", "value"))),
    (f"{_BLOCK}.attn.proj.@", rf"{_LAYER}.attention.output.dense.\2"),
    (f"{_BLOCK}.norm#.@", rf"{_LAYER}.norm\2.\3"),
    (f"{_BLOCK}.ls#.gamma", rf"{_LAYER}.layer_scale\2.lambda1"),
    (f"{_BLOCK}.mlp.fc#.@", rf"{_LAYER}.mlp.fc\2.\3"),
    (f"{_BLOCK}.mlp.w12.@", rf"{_LAYER}.mlp.weights_in.\2"),
    (f"{_BLOCK}.mlp.w3.@", rf"{_LAYER}.mlp.weights_out.\2"),
    ("pretrained.norm.@", r"backbone.layernorm.\1"),
    ("depth_head.projects.#.@", r"neck.reassemble_stage.layers.\1.projection.\2"),
    ("depth_head.resize_layers.#.@", r"neck.reassemble_stage.layers.\1.resize.\2"),
    *((f"depth_head.scratch.layer{n}_rn.@", rf"neck.convs.{n - 1}.\1") for n in (1, 2, 3, 4)),
    *_REFINENETS,
    ("depth_head.scratch.output_conv1.@", r"head.conv1.\1"),
    ("depth_head.scratch.output_conv2.0.@", r"head.conv2.\1"),
    ("depth_head.scratch.output_conv2.2.@", r"head.conv3.\1"),
)
"""Original key and transformers' names; `#` is a number, `@` the last word, each a group to refer to."""

_TRANSFORMERS = tuple(
    (re.compile(re.escape(key).replace(r"\#", r"(\d+)").replace("@", r"(\w+)")), names) for key, *names in _ROWS
)
