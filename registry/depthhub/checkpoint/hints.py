"""How to build a model, from what lies beside its weights: a config.json, or only the file's name.

A config.json states; a name may only suggest, and the caller says so to the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..model.config import METRIC, Build, Taps


def build_from_config_json(data: object) -> Build | None:
    """What a config.json states, or None where it says nothing that decides.

    Known are the configs of transformers' `depth_anything`, those that the authors' repositories carry (they name the
    arguments of the constructor), and the header of our own converted files.
    """
    if not isinstance(data, Mapping):
        return None
    try:
        if data.get("model_type") == "depth_anything":
            return _from_transformers(data)
        if {"encoder", "features", "out_channels"} <= data.keys():
            return _from_constructor(data)
        if {"config", "recipe", "content_hash"} <= data.keys():
            return Build.from_json(data["recipe"]["build"])
    except (ValueError, TypeError, KeyError):  # someone else's file, and damaged: it states nothing
        return None
    return None


def _from_transformers(data: Mapping[str, Any]) -> Build | None:
    backbone = data.get("backbone_config")
    if not isinstance(backbone, Mapping):
        return None
    blocks = int(backbone.get("num_hidden_layers", 12))  # transformers leaves defaults out of some files
    taps = _taps_in(backbone)
    if taps is None or not 0 <= taps[0] < taps[3] < blocks:
        return None
    kind = data.get("depth_estimation_type", "relative")
    if kind == "metric":
        depth = data.get("max_depth")
        return None if depth is None else _with_taps(Build(METRIC, float(depth)), taps, blocks)
    if kind != "relative":
        return None
    for build in (Build("v1"), Build("v2")):
        if build.taps_for(blocks) == taps:
            return build
    return Build("v2", taps=taps)


def _taps_in(backbone: Mapping[str, Any]) -> Taps | None:
    """0-based blocks. transformers counts the patch embedding as stage 0, so its block numbers begin at 1."""
    stages = backbone.get("out_indices")
    if stages is None and isinstance(names := backbone.get("out_features"), Sequence):
        stages = [int(str(name).removeprefix("stage")) for name in names]
    if not isinstance(stages, Sequence) or len(stages) != 4 or not all(type(stage) is int for stage in stages):
        return None
    first, second, third, fourth = (stage - 1 for stage in stages)
    return (first, second, third, fourth) if first < second < third < fourth else None


def _with_taps(build: Build, taps: Taps, blocks: int) -> Build:
    """`build`, with explicit taps only where its family's rule gives others: equal models have equal recipes."""
    return build if build.taps_for(blocks) == taps else Build(build.family, build.max_depth, taps)


def _from_constructor(data: Mapping[str, Any]) -> Build | None:
    """`localhub` is an argument of V1's constructor alone, `max_depth` of V2 metric's; V2's has neither."""
    if "max_depth" in data:
        return Build(METRIC, float(data["max_depth"]))
    return Build("v1") if "localhub" in data else None


_NAMES = re.compile(
    r"""depth_anything_
    (?: (?P<v1> vit[sbl]14 )
      | v2_ (?: metric_ (?P<trained_on> hypersim | vkitti ) _ )? vit[sblg]
    )
    (?: _ (?: fp32 | fp16 | bf16 ) )?""",
    re.VERBOSE,
)
_MAX_DEPTH = {"hypersim": 20.0, "vkitti": 80.0}
"""Metres: the authors' values for the indoor and the outdoor set (`metric_depth/README.md`)."""


def guess_from_file_name(name: str) -> Build | None:
    """What a file's name suggests, or None. Only the authors' own patterns count, and the whole of the name:
    `video_depth_anything_vits.pth` and `depth_anything_metric_depth_indoor.pt` are other models.
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem.lower().replace("-", "_")
    match = _NAMES.fullmatch(stem)
    if match is None:
        return None
    if match["v1"]:
        return Build("v1")
    return Build(METRIC, _MAX_DEPTH[match["trained_on"]]) if match["trained_on"] else Build("v2")
