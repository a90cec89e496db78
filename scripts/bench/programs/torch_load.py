"""The original file's tensors by `torch.load`, mapped, and no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


def run(given: Mapping[str, Any]) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = torch.load(given["checkpoint"], map_location="cpu", weights_only=True, mmap=True)
    return loaded


def tensors(loaded: dict[str, Tensor]) -> Iterable[Tensor]:
    return loaded.values()
