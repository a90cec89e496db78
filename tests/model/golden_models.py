"""The models of the golden outputs, rebuilt from names, shapes and the rule that fills them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from depthhub.checkpoint.rules import convert
from depthhub.checkpoint.shapes import infer_config
from depthhub.model.assign import assign
from depthhub.model.config import METRIC, Build
from depthhub.model.dpt import DPT
from depthhub.testing.reference import reference_tensor

GOLDEN = Path(__file__).parent.parent / "golden"

Shapes = dict[str, tuple[int, ...]]


def golden_shapes(name: str) -> Shapes:
    """Original key -> shape."""
    listed: dict[str, list[int]] = json.loads((GOLDEN / f"{name}.shapes.json").read_text())
    return {key: tuple(shape) for key, shape in listed.items()}


def golden_build(name: str) -> Build:
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        facts = file.metadata()
    return Build(facts["family"], float(facts["max_depth"]) if facts["family"] == METRIC else None)


def converted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Original tensors -> what a model is given: converted names, without those that inference never uses."""
    named = convert(tensors, path=Path("golden"))
    return {key: tensor for key, tensor in named.items() if not key.startswith("unused.")}


def golden_model(name: str) -> DPT:
    shapes = golden_shapes(name)
    model = DPT(infer_config(shapes, golden_build(name), path=Path("golden")))
    assign(model, converted(_filled(tuple(shapes.items()))))
    return model


@lru_cache(maxsize=1)  # V1 and V2 of a size share their weights, and two large ones need not lie in memory at once
def _filled(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> dict[str, Tensor]:
    with ThreadPoolExecutor() as pool:
        arrays = list(pool.map(lambda item: reference_tensor(*item), shapes))
    return {key: torch.from_numpy(array) for (key, _), array in zip(shapes, arrays, strict=True)}
