"""State dicts for these tests: big shapes without big memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.checkpoint.reading import Checkpoint, read_checkpoint

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.name.removesuffix(".shapes.json") for path in GOLDEN.glob("*.shapes.json"))

Shapes = Mapping[str, tuple[int, ...]]


def golden_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Key -> shape of one golden checkpoint, in the order of its state dict."""
    return {key: tuple(shape) for key, shape in json.loads((GOLDEN / f"{name}.shapes.json").read_text()).items()}


def transformers_port() -> tuple[dict[str, object], dict[str, tuple[int, ...]]]:
    """config.json and key -> shape of vits, as transformers wrote them."""
    data = json.loads((GOLDEN / "v2-vits.transformers-format.json").read_text())
    return data["config.json"], {key: tuple(shape) for key, shape in data["model.safetensors"].items()}


def state_dict(shapes: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Tensors of these shapes, no two alike, in the memory of the largest of them: each is a window of one buffer."""
    numels = {key: math.prod(shape) for key, shape in shapes.items()}
    buffer = torch.arange(max(numels.values()) + len(shapes)).remainder_(2**20).to(dtype)
    return {key: buffer[i : i + numels[key]].view(shape) for i, (key, shape) in enumerate(shapes.items())}


def read(path: Path) -> Checkpoint:
    """The checkpoint `path`, whose tensors outlive the open file."""
    with OpenCheckpoint(path) as opened:
        return read_checkpoint(opened)


def same_bits(one: Tensor, other: Tensor) -> bool:
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))
    )


def shares_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
