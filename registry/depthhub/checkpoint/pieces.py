"""Tensors piece by piece, each so small that torch needs none of its other threads for it.

A forked child has none of its parent's threads: where the parent has computed, whatever torch shares out among them
waits there for ever.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

PIECE = (1 << 15) - 1
"""Numbers that torch works on without the help of its other threads (at::internal::GRAIN_SIZE), whatever these do."""


def pieces(tensor: Tensor) -> Iterator[Tensor]:
    """Its numbers in order, in views of at most PIECE; those of tensors of one shape are of the same shapes."""
    if tensor.numel() <= PIECE:
        yield tensor
    elif len(tensor) == 1:
        yield from pieces(tensor[0])
    else:
        for part in torch.split(tensor, max(1, PIECE // (tensor.numel() // len(tensor)))):
            yield from pieces(part)


def fill(room: Tensor, source: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> None:
    """Write `source`, or what `change` makes of each piece of it, into `room` of its shape."""
    for space, piece in zip(pieces(room), pieces(source), strict=True):
        space.copy_(piece if change is None else change(piece))


def in_order(tensor: Tensor) -> Tensor:
    """Itself where it is contiguous, else a copy that is."""
    if tensor.is_contiguous():
        return tensor
    made = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
    fill(made, tensor)
    return made


def are_same(one: Tensor, other: Tensor) -> bool:
    """Whether tensors of one dtype and shape have the same bytes."""
    return all(_bits(mine) == _bits(theirs) for mine, theirs in zip(pieces(one), pieces(other), strict=True))


def is_blank(tensor: Tensor) -> bool:
    """Whether all its bytes are 0; its first number nearly always tells."""
    first = ctypes.string_at(tensor.data_ptr(), min(tensor.element_size(), tensor.nbytes))  # none of an empty one
    return not any(first) and all(_bits(piece) == bytes(piece.nbytes) for piece in pieces(tensor))


def _bits(piece: Tensor) -> bytes:
    """Its numbers as bytes: which are equal, or zero, a processor may have been told otherwise."""
    ordered = piece.contiguous()
    return ctypes.string_at(ordered.data_ptr(), ordered.nbytes)
