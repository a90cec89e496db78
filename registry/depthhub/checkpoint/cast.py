"""Numbers in another dtype: the same bytes whatever the process has told the processor.

`torch.set_flush_denormal(True)`, and some libraries that are merely loaded, make a thread take the smallest numbers for
zero; others make it round up or down. It holds for the thread that says it and for all that this one starts, torch's
own among them, and stays there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError
from .pieces import in_order, pieces


def cast(source: Tensor, dtype: torch.dtype, *, path: Path) -> tuple[Tensor, int]:
    """`source` in `dtype`, contiguous, itself where it is both already; and how many of its numbers became infinite.

    path: of its checkpoint, for errors.
    """
    if source.dtype == dtype:
        return in_order(source), 0
    with ThreadPoolExecutor(1, "depthhub-casting", torch.set_flush_denormal, (False,)) as apart:
        apart.submit(_require_nearest, path).result()
        return apart.submit(_cast, source, dtype).result()


_NEAREST = {1 + 2**-30: 1.0, -1 - 2**-30: -1.0, 1 + 2**-23 - 2**-30: 1 + 2**-23, -1 - 2**-23 + 2**-30: -1 - 2**-23}
"""Numbers that float32 has not, and the nearest that it has."""


def _require_nearest(path: Path) -> None:
    """Raises CheckpointError where this process was told to round otherwise: Python has no way to tell it."""
    found = torch.tensor(list(_NEAREST), dtype=torch.float64, device="cpu").to(torch.float32)
    if found.tolist() != list(_NEAREST.values()):
        raise CheckpointError(
            f"{path}: something in this process has told the processor to round up or down (fesetround), and a cast "
            "would give other weights than elsewhere. Convert in another process: `depthhub pull` with the same dtype.",
            path=path,
        )


def _cast(source: Tensor, dtype: torch.dtype) -> tuple[Tensor, int]:
    made, lost = torch.empty(source.shape, dtype=dtype, device="cpu"), 0
    is_narrower = torch.finfo(dtype).max < torch.finfo(source.dtype).max
    for room, numbers in zip(pieces(made), pieces(source), strict=True):
        piece = numbers.to(dtype)
        room.copy_(piece.masked_fill_(piece.isnan(), torch.nan))  # its bits differ between processors
        if is_narrower and (infinite := piece.isinf()).any():
            lost += int((infinite & numbers.isfinite()).sum())
    return made, lost


def is_dense(tensor: Tensor) -> bool:
    """False of one that repeats a few numbers (a stride of 0): as bytes it may take more than any memory has."""
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
