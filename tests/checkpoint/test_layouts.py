"""Names tell the layout, or which other model it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub.checkpoint.layouts import detect, recognise
from depthhub.checkpoint.rules import DEPTHHUB
from depthhub.checkpoint.wrappers import bare_names
from depthhub.errors import CheckpointError, UnsupportedModelError
from depthhub.testing.layouts import names_in

from .states import NAMES, golden_shapes, transformers_port

PATH = Path("some.pth")
ORIGINAL = list(golden_shapes("v2-tiny"))
DISTILL = [name for key in ORIGINAL for name in names_in("distill", key)]
CONVERTED = [name for key in ORIGINAL for name in (DEPTHHUB.of_original(key) or pytest.fail(key)).others]


@pytest.mark.parametrize("name", NAMES)
def test_every_golden_file_is_in_the_original_layout(name: str) -> None:
    assert detect(golden_shapes(name), path=PATH) == "original"


def test_the_other_layouts_are_recognised() -> None:
    assert detect(DISTILL, path=PATH) == "distill"
    assert detect(transformers_port()[1], path=PATH) == "transformers"
    assert detect(CONVERTED, path=PATH) == "depthhub"


VIDEO = [key.replace("depth_head.", "head.") for key in ORIGINAL]
FOREIGN = {
    "Video-Depth-Anything": [*VIDEO, "head.motion_modules.0.temporal_transformer.norm.weight"],
    "PromptDA": [*ORIGINAL, "depth_head.scratch.refinenet1.resConfUnit_depth.0.weight"],
    "PromptDA (transformers)": [
        *transformers_port()[1],
        "neck.fusion_stage.layers.0.prompt_depth_layer.convolution1.weight",
    ],
    "Prior-Depth-Anything": [*ORIGINAL, "pretrained.patch_embed.alpha_proj.weight"],
    "V1 metric (ZoeDepth)": [*(f"core.core.{key}" for key in ORIGINAL), "attractors.0._net.0.weight", "conv2.weight"],
    "Depth-Anything-3": [
        *(f"model.backbone.{key}" for key in ORIGINAL if key.startswith("pretrained.")),
        "model.head.scratch.sky_output_conv2.0.weight",
    ],
    "Depth-Anything-3 (nested)": [
        *(f"model.da3.backbone.{key}" for key in ORIGINAL),
        *(f"model.da3_metric.backbone.{key}" for key in ORIGINAL),
    ],
    "Depth-Anything with use_clstoken": [*ORIGINAL, "depth_head.readout_projects.0.0.weight"],
    "Depth-Anything with registers": [*ORIGINAL, "pretrained.register_tokens"],
}


@pytest.mark.parametrize("prefix", ["", "module.", "pipeline."])
@pytest.mark.parametrize(("family", "names"), FOREIGN.items(), ids=FOREIGN)
def test_another_model_is_refused_in_one_sentence_that_names_it(family: str, names: list[str], prefix: str) -> None:
    bare, _ = bare_names([prefix + name for name in names])
    with pytest.raises(UnsupportedModelError) as caught:
        detect(bare.values(), path=PATH)
    assert caught.value.name == family.removesuffix(" (transformers)")
    assert caught.value.reason.startswith(caught.value.name)
    assert caught.value.name in str(caught.value)
    assert str(PATH) in str(caught.value)


def test_an_original_model_under_the_name_backbone_is_not_taken_for_another() -> None:
    bare, _ = bare_names([f"backbone.{name}" for name in ORIGINAL])
    assert recognise(bare.values()) == "original"


def test_a_stranger_is_refused_with_what_its_names_begin_with() -> None:
    with pytest.raises(CheckpointError, match=r"layer1 \(2\), fc \(1\)"):
        detect(["layer1.conv.weight", "layer1.conv.bias", "fc.weight"], path=PATH)
