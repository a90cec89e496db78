"""Numbers in another dtype: the same bytes whatever the process has told the processor.

`torch.set_flush_denormal(True)`, and some libraries that are merely loaded, make a thread take the smallest numbers for
zero. It holds for the thread that says it and for all that this one starts, torch's own among them, and stays there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

_PIECE = (1 << 15) - 1
"""Numbers that torch casts without the help of its other threads (at::internal::GRAIN_SIZE), whatever these do."""


def cast(source: Tensor, dtype: torch.dtype) -> Tensor:
    """`source` in `dtype`, contiguous; itself where it is both already."""
    if source.dtype == dtype:
        return source.contiguous()
    with ThreadPoolExecutor(1, "depthhub-casting", torch.set_flush_denormal, (False,)) as apart:
        return apart.submit(_cast, source, dtype).result()


def _cast(source: Tensor, dtype: torch.dtype) -> Tensor:
    made = torch.empty(source.shape, dtype=dtype, device="cpu")
    numbers, room = source.reshape(-1), made.view(-1)
    for at in range(0, source.numel(), _PIECE):
        room[at : at + _PIECE] = numbers[at : at + _PIECE]
    return made
