"""Tensors that become one: joined only when somebody needs the numbers.

A port to transformers keeps query, key and value apart. Joined at once they would be a private copy of a quarter of the
encoder; joined one at a time, while they are written, they are a few megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Joined:
    """`parts` one after another along `dim`. Raises ValueError where their other sides or their dtypes differ."""

    __slots__ = ("dim", "dtype", "parts", "shape")

    def __init__(self, parts: tuple[Tensor, ...], dim: int) -> None:
        others = {(*part.shape[:dim], *part.shape[dim + 1 :]) for part in parts if part.dim() > dim}
        if len(others) != 1 or any(part.dim() <= dim for part in parts) or len({p.dtype for p in parts}) != 1:
            raise ValueError("the parts do not fit together")
        first = parts[0]
        joined = sum(part.shape[dim] for part in parts)
        self.parts = parts
        self.dim = dim
        self.dtype: torch.dtype = first.dtype
        self.shape: tuple[int, ...] = (*first.shape[:dim], joined, *first.shape[dim + 1 :])

    def tensor(self) -> Tensor:
        import torch  # here, so that the rules and all that reads them need none

        from .pieces import fill

        made, at = torch.empty(self.shape, dtype=self.dtype, device="cpu"), 0
        for part in self.parts:
            fill(made.narrow(self.dim, at, part.shape[self.dim]), part)
            at += part.shape[self.dim]
        return made


Weight: TypeAlias = "Tensor | Joined"
"""One tensor of a state dict, made or not yet made."""


def whole(weight: Weight) -> Tensor:
    return weight.tensor() if isinstance(weight, Joined) else weight


def parts_of(weight: Weight) -> tuple[Tensor, ...]:
    """Its tensors, as they lie in the file."""
    return weight.parts if isinstance(weight, Joined) else (weight,)
