"""The layers that everything else is made of: torch's own, except that nobody fills them.

Random initialisation is nearly all the cost of building a large model (seconds for ViT-L), and every number of it is
replaced a moment later. Without it, the layers' `torch.empty` reserves address space and touches no page. The meta
device would reserve nothing at all, but with some versions of torch its first use takes more than a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

Module = TypeVar("Module", bound=nn.Module)


class _Unfilled:
    """Takes precedence over a torch layer's initialisation: the layer holds no weights until `assign`."""

    def reset_parameters(self) -> None:
        """Nothing: torch's layers call this at the end of their constructor."""


class Linear(_Unfilled, nn.Linear):
    """... x in -> ... x out."""


class Conv2d(_Unfilled, nn.Conv2d):
    """B x in x h x w -> B x out x h' x w'."""


class ConvTranspose2d(_Unfilled, nn.ConvTranspose2d):
    """B x in x h x w -> B x out x (stride h) x (stride w), where the kernel is as large as the stride."""


class LayerNorm(_Unfilled, nn.LayerNorm):
    """... x width -> ... x width, with DINOv2's epsilon of 1e-6 (torch's default is 1e-5)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)


class Resize(nn.Module):
    """Bilinear, corners aligned: every resize of the DPT's feature maps. B x C x h x w -> B x C x hw."""

    def forward(self, features: Tensor, hw: tuple[int, int]) -> Tensor:
        return interpolate(features, size=hw, mode="bilinear", align_corners=True)


def alike(module: Module, count: int) -> Iterator[Module]:
    """`count` modules that hold no weights, built as `module` is, which is the first: a third of the cost of building.

    They share nothing: each has its own children, hooks and unfilled parameters.
    """
    yield module
    for _ in range(count - 1):
        yield _twin(module)


def _twin(module: Module) -> Module:
    twin = object.__new__(type(module))
    for name, value in module.__dict__.items():  # what nn.Module.__init__ would make anew: tables, mostly empty
        twin.__dict__[name] = value.copy() if isinstance(value, dict | set) else value
    for name, parameter in twin._parameters.items():
        if parameter is not None:
            twin._parameters[name] = unfilled(*parameter.shape)
    for name, child in twin._modules.items():
        if child is not None:
            twin._modules[name] = _twin(child)
    return twin


def unfilled(*shape: int) -> nn.Parameter:
    """A parameter outside of any layer, as empty as the layers' own."""
    return nn.Parameter(torch.empty(shape))
