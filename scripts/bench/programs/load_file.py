"""The limit: the converted file's tensors by `safetensors.torch.load_file`, and no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from safetensors.torch import load_file
from torch import Tensor


def run(given: Mapping[str, Any]) -> dict[str, Tensor]:
    return load_file(given["entry"])


def tensors(loaded: dict[str, Tensor]) -> Iterable[Tensor]:
    return loaded.values()
