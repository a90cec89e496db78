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

_PIECE = (1 << 15) - 1
"""Numbers that torch casts without the help of its other threads (at::internal::GRAIN_SIZE), whatever these do."""


def cast(source: Tensor, dtype: torch.dtype, *, path: Path) -> Tensor:
    """`source` in `dtype`, contiguous; itself where it is both already. path: of its checkpoint, for errors."""
    if source.dtype == dtype:
        return source.contiguous()
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


def _cast(source: Tensor, dtype: torch.dtype) -> Tensor:
    made = torch.empty(source.shape, dtype=dtype, device="cpu")
    numbers, room = source.reshape(-1), made.view(-1)
    for at in range(0, source.numel(), _PIECE):
        piece = numbers[at : at + _PIECE].to(dtype)
        room[at : at + _PIECE] = piece.masked_fill_(piece.isnan(), torch.nan)  # its bits differ between processors
    return made


def is_dense(tensor: Tensor) -> bool:
    """False of one that repeats a few numbers (a stride of 0): as bytes it may take more than any memory has."""
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def bits_of(tensor: Tensor) -> Tensor:
    """Its numbers as bytes: which are equal, or zero, a processor may have been told otherwise."""
    # To torch one number is contiguous whatever its stride is, and yet has no view of other dtype.
    return tensor.contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8)
