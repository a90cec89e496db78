"""The original way to a ready model: construct every layer with its initialisation, torch.load, load_state_dict.

An equivalent of the authors' module made from the key list alone, so that no foreign code is needed: the same layers
of torch.nn with the same shapes under the same names, initialised as theirs are (torch's defaults for the head; for the
encoder torch's defaults first, then `trunc_normal_`, as DINOv2 does). It has no forward: loading is what is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

Shapes = Mapping[str, tuple[int, ...]]


def load_the_original_way(path: Path, shapes: Shapes) -> nn.Module:
    """Construct, read the whole file, copy it in: what the authors' README tells their users to do."""
    model = construct(shapes)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval()


def construct(shapes: Shapes) -> nn.Module:
    root = nn.Module()
    for name in _layer_names(shapes):
        parent = root
        *folders, leaf = name.split(".")
        for folder in folders:
            if folder not in parent._modules:
                parent.add_module(folder, nn.Module())
            parent = parent.get_submodule(folder)
        weight = shapes.get(f"{name}.weight")
        if weight is None:
            parent.register_parameter(leaf, nn.Parameter(torch.empty(shapes[name]).normal_(std=0.02)))
        else:
            parent.add_module(leaf, _layer(name, weight, bias=f"{name}.bias" in shapes))
    return root


def _layer_names(shapes: Shapes) -> list[str]:
    return list(dict.fromkeys(key.removesuffix(".weight").removesuffix(".bias") for key in shapes))


def _layer(name: str, weight: tuple[int, ...], *, bias: bool) -> nn.Module:
    if len(weight) == 1:
        return nn.LayerNorm(weight[0], eps=1e-6)
    if len(weight) == 2:
        linear = nn.Linear(weight[1], weight[0], bias=bias)
        nn.init.trunc_normal_(linear.weight, std=0.02)
        return linear
    if name.endswith(("resize_layers.0", "resize_layers.1")):
        return nn.ConvTranspose2d(weight[0], weight[1], weight[2], stride=weight[2], bias=bias)
    return nn.Conv2d(weight[1], weight[0], weight[2], bias=bias)
