"""The key rules, as tables that run both ways.

A row holds a name of the original layout and the name that it has in the other. `#` stands for any integer, with
arithmetic where the numbering shifts (`refinenet#` -> `blocks.{#-1}`); `*` stands for weight or bias. The first row
that fits counts. What the authors' names mean can be read in `depth_anything_v2/dpt.py` and `dinov2.py` of
DepthAnything/Depth-Anything-V2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .joined import whole
from .table import Cut, Table

if TYPE_CHECKING:
    from torch import Tensor

CLASS_AND_PATCHES = Cut(dim=1, first=1)
"""1 x (1+N) x F: the class token's embedding, and those of the patches. Only the second is resized to an image."""

QUERY_KEY_VALUE = Cut(dim=0)
"""3F x ...: three equal parts."""

# fmt: off
DEPTHHUB = Table([
    # Image encoder
    ("pretrained.cls_token",                          "imgencoder.cls_token"),
    ("pretrained.pos_embed",                         ("imgencoder.posenc.cls_embedding",
                                                      "imgencoder.posenc.base_patch_embedding"), CLASS_AND_PATCHES),
    ("pretrained.mask_token",                         "unused.pretrained.mask_token"),
    ("pretrained.patch_embed.proj.*",                 "patch_embed.proj.*"),
    ("pretrained.blocks.#.norm1.*",                   "imgencoder.blocks.#.norm1.*"),
    ("pretrained.blocks.#.attn.qkv.*",                "imgencoder.blocks.#.attn.qkv.*"),
    ("pretrained.blocks.#.attn.proj.*",               "imgencoder.blocks.#.attn.proj.*"),
    ("pretrained.blocks.#.ls1.gamma",                 "imgencoder.blocks.#.scale_attn"),
    ("pretrained.blocks.#.norm2.*",                   "imgencoder.blocks.#.norm2.*"),
    ("pretrained.blocks.#.mlp.fc1.*",                 "imgencoder.blocks.#.mlp.layers.0.*"),
    ("pretrained.blocks.#.mlp.fc2.*",                 "imgencoder.blocks.#.mlp.layers.2.*"),
    ("pretrained.blocks.#.mlp.w12.*",                 "imgencoder.blocks.#.mlp.inner_linear_doubled.*"),
    ("pretrained.blocks.#.mlp.w3.*",                  "imgencoder.blocks.#.mlp.outer_linear.*"),
    ("pretrained.blocks.#.ls2.gamma",                 "imgencoder.blocks.#.scale_mlp"),
    ("pretrained.norm.*",                             "imgencoder.outnorm.*"),

    # Reassembly
    ("depth_head.projects.0.*",                       "reassemble.spatial_upx4.resample.0.*"),
    ("depth_head.projects.1.*",                       "reassemble.spatial_upx2.resample.0.*"),
    ("depth_head.projects.2.*",                       "reassemble.spatial_noscale.resample.0.*"),
    ("depth_head.projects.3.*",                       "reassemble.spatial_downx2.resample.0.*"),
    ("depth_head.resize_layers.0.*",                  "reassemble.spatial_upx4.resample.1.*"),
    ("depth_head.resize_layers.1.*",                  "reassemble.spatial_upx2.resample.1.*"),
    ("depth_head.resize_layers.3.*",                  "reassemble.spatial_downx2.resample.1.*"),
    ("depth_head.scratch.layer1_rn.weight",           "reassemble.spatial_upx4.fuse_proj.weight"),
    ("depth_head.scratch.layer2_rn.weight",           "reassemble.spatial_upx2.fuse_proj.weight"),
    ("depth_head.scratch.layer3_rn.weight",           "reassemble.spatial_noscale.fuse_proj.weight"),
    ("depth_head.scratch.layer4_rn.weight",           "reassemble.spatial_downx2.fuse_proj.weight"),

    # Fusion. The deepest has nothing to fuse with, so its first unit is never used.
    ("depth_head.scratch.refinenet#.out_conv.*",      "fusion.blocks.{#-1}.scale_proj_seq.2.*"),
    ("depth_head.scratch.refinenet4.resConfUnit1.conv#.*",
                                                      "unused.depth_head.scratch.refinenet4.resConfUnit1.conv#.*"),
    ("depth_head.scratch.refinenet#.resConfUnit1.conv1.*", "fusion.blocks.{#-1}.conv_reassembly.resconv_seq.1.*"),
    ("depth_head.scratch.refinenet#.resConfUnit1.conv2.*", "fusion.blocks.{#-1}.conv_reassembly.resconv_seq.3.*"),
    ("depth_head.scratch.refinenet#.resConfUnit2.conv1.*", "fusion.blocks.{#-1}.scale_proj_seq.0.resconv_seq.1.*"),
    ("depth_head.scratch.refinenet#.resConfUnit2.conv2.*", "fusion.blocks.{#-1}.scale_proj_seq.0.resconv_seq.3.*"),

    # Head
    ("depth_head.scratch.output_conv1.*",             "head.spatial_upsampler.0.*"),
    ("depth_head.scratch.output_conv2.#.*",           "head.proj_1ch.#.*"),
])

# Distill-Any-Depth, large and teacher: the encoder under another name, its blocks in one chunk.
DISTILL = Table([
    ("pretrained.blocks.#.**",                        "backbone.blocks.0.#.**"),
    ("pretrained.**",                                 "backbone.**"),
    ("depth_head.**",                                 "depth_head.**"),
])

# The port to huggingface/transformers (`modeling_depth_anything.py`); its fusion layers begin with the deepest.
TRANSFORMERS = Table([
    ("pretrained.cls_token",                          "backbone.embeddings.cls_token"),
    ("pretrained.pos_embed",                          "backbone.embeddings.position_embeddings"),
    ("pretrained.mask_token",                         "backbone.embeddings.mask_token"),
    ("pretrained.patch_embed.proj.*",                 "backbone.embeddings.patch_embeddings.projection.*"),
    ("pretrained.blocks.#.norm1.*",                   "backbone.encoder.layer.#.norm1.*"),
    ("pretrained.blocks.#.attn.qkv.*",               ("backbone.encoder.layer.#.attention.attention.query.*",
                                                      "backbone.encoder.layer.#.attention.attention.key.*",
                                                      "backbone.encoder.layer.#.attention.attention.value.*"),
                                                      QUERY_KEY_VALUE),
    ("pretrained.blocks.#.attn.proj.*",               "backbone.encoder.layer.#.attention.output.dense.*"),
    ("pretrained.blocks.#.ls1.gamma",                 "backbone.encoder.layer.#.layer_scale1.lambda1"),
    ("pretrained.blocks.#.norm2.*",                   "backbone.encoder.layer.#.norm2.*"),
    ("pretrained.blocks.#.mlp.fc1.*",                 "backbone.encoder.layer.#.mlp.fc1.*"),
    ("pretrained.blocks.#.mlp.fc2.*",                 "backbone.encoder.layer.#.mlp.fc2.*"),
    ("pretrained.blocks.#.mlp.w12.*",                 "backbone.encoder.layer.#.mlp.weights_in.*"),
    ("pretrained.blocks.#.mlp.w3.*",                  "backbone.encoder.layer.#.mlp.weights_out.*"),
    ("pretrained.blocks.#.ls2.gamma",                 "backbone.encoder.layer.#.layer_scale2.lambda1"),
    ("pretrained.norm.*",                             "backbone.layernorm.*"),
    ("depth_head.projects.#.*",                       "neck.reassemble_stage.layers.#.projection.*"),
    ("depth_head.resize_layers.#.*",                  "neck.reassemble_stage.layers.#.resize.*"),
    ("depth_head.scratch.layer1_rn.weight",           "neck.convs.0.weight"),
    ("depth_head.scratch.layer2_rn.weight",           "neck.convs.1.weight"),
    ("depth_head.scratch.layer3_rn.weight",           "neck.convs.2.weight"),
    ("depth_head.scratch.layer4_rn.weight",           "neck.convs.3.weight"),
    ("depth_head.scratch.refinenet#.out_conv.*",      "neck.fusion_stage.layers.{4-#}.projection.*"),
    ("depth_head.scratch.refinenet#.resConfUnit1.conv1.*",
                                                      "neck.fusion_stage.layers.{4-#}.residual_layer1.convolution1.*"),
    ("depth_head.scratch.refinenet#.resConfUnit1.conv2.*",
                                                      "neck.fusion_stage.layers.{4-#}.residual_layer1.convolution2.*"),
    ("depth_head.scratch.refinenet#.resConfUnit2.conv1.*",
                                                      "neck.fusion_stage.layers.{4-#}.residual_layer2.convolution1.*"),
    ("depth_head.scratch.refinenet#.resConfUnit2.conv2.*",
                                                      "neck.fusion_stage.layers.{4-#}.residual_layer2.convolution2.*"),
    ("depth_head.scratch.output_conv1.*",             "head.conv1.*"),
    ("depth_head.scratch.output_conv2.0.*",           "head.conv2.*"),
    ("depth_head.scratch.output_conv2.2.*",           "head.conv3.*"),
])
# fmt: on


def convert(tensors: Mapping[str, Tensor], *, path: Path) -> dict[str, Tensor]:
    """Original names -> converted names, in the same order; views, no copies.

    Raises UnknownKeysError that lists every name that no rule knows. `path` is the file, for the message.
    """
    return {name: whole(weight) for name, weight in DEPTHHUB.from_original(tensors, path=path).items()}


def invert(tensors: Mapping[str, Tensor], *, path: Path) -> dict[str, Tensor]:
    """Converted names -> original names: gives back what `convert` was given, key for key and bit for bit."""
    return {name: whole(weight) for name, weight in DEPTHHUB.to_original(tensors, path=path).items()}
