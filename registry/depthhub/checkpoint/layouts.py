"""Which layout a state dict is in, told by its names; or which other model it is, that a plain DPT cannot express.

V1, V2, V2 metric, Depth-Anything-AC and the small Distill-Any-Depth are alike in names and shapes: not told here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import CheckpointError, UnsupportedModelError
from .rules import DEPTHHUB, DISTILL, TRANSFORMERS
from .table import Table
from .words import listed, shown

Layout = Literal["original", "distill", "transformers", "depthhub"]

TABLES: Mapping[Layout, Table] = {"distill": DISTILL, "transformers": TRANSFORMERS, "depthhub": DEPTHHUB}
"""The rules between the original layout and each of the others."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another model: its name, and why a plain DPT cannot express it."""

    name: str
    reason: str


_LAYOUTS: tuple[tuple[Layout, tuple[str, str]], ...] = (
    ("original", ("pretrained.blocks.", "depth_head.")),
    ("distill", ("backbone.blocks.0.", "depth_head.")),
    ("transformers", ("backbone.embeddings.", "neck.")),
    ("depthhub", ("imgencoder.", "reassemble.")),
)
"""A layout is there where some name begins with the first mark, and some name with the second."""

_PROMPT = Foreign("PromptDA", "it takes a measured depth as a prompt beside the image")
_BINS = Foreign("V1 metric (ZoeDepth)", "its depth comes from bins that attractor layers move")
_FOREIGN: tuple[tuple[tuple[str, ...], Foreign], ...] = (
    ((".motion_modules.",), Foreign("Video-Depth-Anything", "its head has temporal layers over many frames")),
    ((".resConfUnit_depth.",), _PROMPT),
    ((".prompt_depth_layer.",), _PROMPT),
    ((".patch_embed.alpha_proj.",), Foreign("Prior-Depth-Anything", "it takes a prior depth beside the image")),
    ((".core.core.pretrained.",), _BINS),
    ((".conditional_log_binomial.",), _BINS),
    ((".da3.", ".da3_metric."), Foreign("Depth-Anything-3 (nested)", "it joins two models, for views and for metres")),
    ((".cam_enc.",), Foreign("Depth-Anything-3", "it looks at several views and estimates their cameras")),
    (
        (".backbone.pretrained.", ".head."),
        Foreign("Depth-Anything-3", "its depth is an exponential, and its norms use another epsilon"),
    ),
    ((".readout_projects.",), Foreign("Depth-Anything with use_clstoken", "its head reads the class token too")),
    ((".register_tokens.",), Foreign("Depth-Anything with registers", "its encoder carries register tokens")),
)
"""Another model is there where each of its marks occurs in some name, after a dot put in front."""


def recognise(names: Iterable[str]) -> Layout | Foreign | None:
    """The layout of these names; or the other model that they belong to; None: neither is known."""
    dotted = [f".{name}." for name in names]
    for marks, foreign in _FOREIGN:
        if all(any(mark in name for name in dotted) for mark in marks):
            return foreign
    for layout, marks in _LAYOUTS:
        if all(any(name.startswith(f".{mark}") for name in dotted) for mark in marks):
            return layout
    return None


def may_hold_a_model(names: Iterable[str]) -> bool:
    """Whether a layout could be in these names, behind whatever was put before or between the parts of each.

    A wrapper that adds a tensor of its own (`n_averaged`), or a loss with weights, hides a model from `recognise`.
    """
    dotted = [f".{name}." for name in names]
    return any(all(any(_has_parts(name, mark) for name in dotted) for mark in marks) for _, marks in _LAYOUTS)


def _has_parts(dotted: str, mark: str) -> bool:
    """Whether the parts of `mark` are parts of the name too, in their order."""
    at = 0
    for part in mark.removesuffix(".").split("."):
        at = dotted.find(f".{part}.", at) + 1
        if at == 0:
            return False
        at += len(part)
    return True


def detect(names: Iterable[str], *, path: Path) -> Layout:
    """The layout of these names. Raises UnsupportedModelError that names another model, and says why it is refused.

    Raises CheckpointError where nothing is recognised, or where a known layout is only a part of what is there.
    """
    names = list(names)
    found = recognise(names)
    if isinstance(found, Foreign):
        raise UnsupportedModelError(
            f"{path} is {found.name}, which a plain DPT cannot express: {found.reason}. Use its authors' own code.",
            name=found.name,
            reason=f"{found.name}: {found.reason}",
        )
    if found is None:
        raise CheckpointError(f"{path}: {_why_unknown(names)}", path=path)
    return found


def _why_unknown(names: list[str]) -> str:
    groups: dict[str, list[str]] = {}
    for name in names:
        top, _, rest = name.partition(".")
        groups.setdefault(top, []).append(rest)
    models = [top for top, rest in groups.items() if isinstance(recognise(rest), str)]
    counted = ", ".join(f"{shown(top)} ({len(rest)})" for top, rest in list(groups.items())[:12])
    if len(models) > 1:
        return (
            f"it holds {len(models)} models, under {listed(list(map(shown, models)), 12, ' and ')}. Save the one that "
            "you mean, without that prefix, in a file of its own."
        )
    if models:
        return (
            f"it holds a Depth-Anything model under {shown(models[0])}, and other tensors beside it: {counted}. "
            f"Where those are of no use, save those under {shown(models[0])} in a file of their own."
        )
    return (
        f"it is not a Depth-Anything model, or in a layout that is not known. Its {len(names)} tensors begin with: "
        f"{counted}. Known layouts begin with pretrained and depth_head (original), backbone and depth_head "
        "(Distill-Any-Depth), backbone and neck (transformers), imgencoder and reassemble (depthhub)."
    )
