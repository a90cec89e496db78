"""transformers: `from_pretrained` of a local folder, offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from transformers import DepthAnythingForDepthEstimation


def run(given: Mapping[str, Any]) -> Any:
    return DepthAnythingForDepthEstimation.from_pretrained(given["folder"], local_files_only=True)


def tensors(model: Any) -> Iterable[Tensor]:
    return model.parameters()  # type: ignore[no-any-return]


def forward(model: Any, pixels: Tensor) -> Tensor:
    return model(pixel_values=pixels).predicted_depth  # type: ignore[no-any-return]
