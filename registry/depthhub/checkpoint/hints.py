"""How to build a model, from what lies beside its weights: a config.json, or only the file's name.

A config.json states; a name may only suggest, and the caller says so to the user. The weights may contradict what is
stated: the shapes are the truth of the size, and `contradiction` tells where a config.json is another model's.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model.config import ENCODERS, HEAD_WIDTH, METRIC, Build, ModelConfig, Taps

if TYPE_CHECKING:
    from .shapes import Sizes


def build_from_config_json(data: object) -> Build | None:
    """What a config.json states, or None where it says nothing that decides.

    Known are the configs of transformers' `depth_anything`, and those that the authors' repositories carry, which name
    the arguments of the constructor. Never raises, whatever `data` holds.

    A stated family means its taps for the number of blocks that the config states. Before they are used for a file,
    ask `contradiction` whether the file is of that size.
    """
    if not isinstance(data, Mapping):
        return None
    try:
        if data.get("model_type") == "depth_anything":
            return _from_transformers(data)
        if {"encoder", "features", "out_channels"} <= data.keys():
            return _from_constructor(data)
    except _DAMAGED:
        return None
    return None


def contradiction(data: object, sizes: Sizes | ModelConfig) -> str | None:
    """Where a config.json states another size than the weights beside it have: a clause for a message, or None.

    `its config.json says 12 blocks and width 384, but the tensors have 24 blocks and width 1024`. What shapes tell is
    held against them, as far as the config states it; blocks, width and heads that it leaves out, transformers fills
    with its defaults, and so does this. Configs that `build_from_config_json` does not know state nothing.
    Never raises.
    """
    if not isinstance(data, Mapping):
        return None
    try:
        wrong = [fact for fact in _facts(data, sizes) if fact.said != fact.found]
        says = " and ".join(_counted(fact.name, fact.said) for fact in wrong)
        have = " and ".join(_counted(fact.name, fact.found) for fact in wrong)
    except _DAMAGED:
        return None
    return f"its config.json says {says}, but the tensors have {have}" if wrong else None


def is_of_another_model(data: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a model of transformers that no `Build` can express. Never raises."""
    return data.get("model_type") is not None and build_from_config_json(data) is None


_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What someone else's config.json may lead to where it is not what it seems: then it states nothing."""


def _counted(name: str, value: object) -> str:
    return f"{reprlib.repr(value)} {name}" if name in ("blocks", "heads") else f"{name} {reprlib.repr(value)}"


class _Fact(NamedTuple):
    """What a config says, and what the shapes have found it to be."""

    name: str
    said: object
    found: object


def _facts(data: Mapping[str, Any], sizes: Sizes | ModelConfig) -> Iterator[_Fact]:
    stated = _sizes_stated(data)
    yield from (_Fact(name, stated[name], getattr(sizes, name)) for name in _SIZES if name in stated)
    channels, fusion = list(sizes.reassembly_channels), sizes.fusion_channels
    if data.get("model_type") == "depth_anything":
        head = {
            "patch_size": sizes.patch_size,
            "reassemble_hidden_size": sizes.width,
            "neck_hidden_sizes": channels,
            "fusion_hidden_size": fusion,
            "head_hidden_size": sizes.head_channels,
        }
        encoder = {
            "patch_size": sizes.patch_size,
            "num_channels": 3,
            "qkv_bias": True,
            "use_swiglu_ffn": sizes.mlp == "swiglu",
        }
        backbone = data["backbone_config"]
        yield from (*_stated(data, head), *_stated(backbone, encoder))
        if (ratio := backbone.get("mlp_ratio")) is not None:
            yield _Fact("feed-forward of width", _mlp_width(ratio, sizes), sizes.mlp_width)
    elif {"encoder", "features", "out_channels"} <= data.keys():
        yield from _stated(data, {"features": fusion, "out_channels": channels})


def _stated(data: Mapping[str, Any], found: Mapping[str, object]) -> Iterator[_Fact]:
    return (_Fact(name, data[name], has) for name, has in found.items() if data.get(name) is not None)


def _mlp_width(ratio: object, sizes: Sizes | ModelConfig) -> object:
    """As transformers computes it; what is no ratio is left as it is."""
    if not isinstance(ratio, int | float) or not 0 < ratio < 1 << 10:
        return ratio
    hidden = int(sizes.width * ratio)
    return hidden if sizes.mlp == "gelu" else (hidden * 2 // 3 + 7) // 8 * 8


def _sizes_stated(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if data.get("model_type") == "depth_anything":
        backbone = data["backbone_config"]
        return {name: backbone.get(key, default) for name, (key, default) in _SIZES.items()}
    if {"encoder", "features", "out_channels"} <= data.keys():
        named = [size for size, name in ENCODERS.items() if name == data["encoder"]]
        return {"width": named[0][0], "blocks": named[0][1]} if named else {}
    return {}


_SIZES = {"blocks": ("num_hidden_layers", 12), "width": ("hidden_size", 768), "heads": ("num_attention_heads", 12)}
"""Field of `Sizes` -> key and default of transformers' Dinov2Config, which leaves defaults out of some files."""

_DINOV2 = {
    "model_type": "dinov2",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "apply_layernorm": True,
    "reshape_hidden_states": False,
}
"""What no shape tells of the encoder, and what ours is built of. A config that says otherwise is another model's."""

_DPT = {"head_in_index": -1, "reassemble_factors": [4, 2, 1, 0.5], "backbone": None, "use_timm_backbone": False}
"""The same, of the head."""


def _from_transformers(data: Mapping[str, Any]) -> Build | None:
    backbone = data.get("backbone_config")
    if not isinstance(backbone, Mapping):
        return None
    if not _agrees(backbone, _DINOV2) or not _agrees(data, _DPT):
        return None
    sizes = _sizes_stated(data)
    if sizes["width"] / HEAD_WIDTH != sizes["heads"]:
        return None
    blocks = sizes["blocks"]
    taps = _taps_in(backbone)
    if taps is None or type(blocks) is not int or not 0 <= taps[0] < taps[3] < blocks:
        return None
    kind = data.get("depth_estimation_type", "relative")
    if kind == "metric":
        depth = data.get("max_depth")
        return None if depth is None else _with_taps(Build(METRIC, depth), taps, blocks)
    if kind != "relative" or data.get("max_depth") not in (None, 0, 1):  # transformers multiplies by it all the same
        return None
    for build in (Build("v1"), Build("v2")):
        if build.taps_for(blocks) == taps:
            return build
    return Build("v2", taps=taps)


def _agrees(data: Mapping[str, Any], expected: Mapping[str, object]) -> bool:
    return all(data.get(key, value) == value for key, value in expected.items())


def _taps_in(backbone: Mapping[str, Any]) -> Taps | None:
    """0-based blocks. transformers counts the patch embedding as stage 0, so its block numbers begin at 1."""
    stages, names = backbone.get("out_indices"), backbone.get("out_features")
    if names is not None:
        named = [int(str(name).removeprefix("stage")) for name in names]
        if stages is None:
            stages = named
        elif stages != named:
            return None
    if not isinstance(stages, Sequence) or len(stages) != 4 or not all(type(stage) is int for stage in stages):
        return None
    first, second, third, fourth = (stage - 1 for stage in stages)
    return (first, second, third, fourth) if first < second < third < fourth else None


def _with_taps(build: Build, taps: Taps, blocks: int) -> Build:
    """`build`, with explicit taps only where its family's rule gives others: equal models have equal recipes."""
    return build if build.taps_for(blocks) == taps else Build(build.family, build.max_depth, taps)


def _from_constructor(data: Mapping[str, Any]) -> Build | None:
    """By the arguments that a constructor has alone; one that no constructor here has leaves it open what it builds.

    V1's has `localhub`, V2 metric's `max_depth`, V2's neither. Depth-Anything-AC's has `localhub` too, and says whose
    encoder it has. Distill-Any-Depth's has `max_depth` too, and does not use it in its relative mode.
    """
    own = data.keys() - _OF_ALL
    if own & _OF_DISTILL:
        return Build("v2") if _agrees({"mode": None, "pretrain_type": None, **data}, _DISTILL) else None
    if "version" in own and own <= _OF_AC:
        return Build(data["version"]) if data["version"] in ("v1", "v2") else None
    if own == {"max_depth"}:
        return Build(METRIC, data["max_depth"])
    return Build("v1") if own == {"localhub"} else None


_OF_ALL = {"encoder", "features", "out_channels", "use_bn", "use_clstoken"}
_OF_AC = {"localhub", "dino_pretrained", "version"}
_OF_DISTILL = {"mode", "pretrain_type", "del_mask_token", "depth_normalize", "num_depth_regressor_anchor"}
_DISTILL = {
    "mode": "disparity",
    "pretrain_type": "dinov2",
    "head_out_channels": 1,
    "wo_relu_1_2_channel": False,
    "use_registers": False,
}


_NAMES = r"""depth_anything_
    (?: (?P<v1> vit[sbl]14 )
      | v2_ (?: metric_ (?P<trained_on> hypersim | vkitti ) _ )? vit[sblg]
    )
    (?: _ (?: fp32 | fp16 | bf16 ) )?"""
_MAX_DEPTH = {"hypersim": 20.0, "vkitti": 80.0}
"""Metres: the authors' values for the indoor and the outdoor set (`metric_depth/README.md`)."""


def guess_from_file_name(name: str) -> Build | None:
    """What a file's name suggests, or None. Only the authors' own patterns count, and the whole of the name:
    `video_depth_anything_vits.pth` and `depth_anything_metric_depth_indoor.pt` are other models.
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem.lower().replace("-", "_")
    match = re.fullmatch(_NAMES, stem, re.VERBOSE)
    if match is None:
        return None
    if match["v1"]:
        return Build("v1")
    return Build(METRIC, _MAX_DEPTH[match["trained_on"]]) if match["trained_on"] else Build("v2")
