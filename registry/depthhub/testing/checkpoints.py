"""Checkpoint files as their authors would have written them, filled by the rule of `reference.py`."""

from __future__ import annotations

import json
import math
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from depthhub.testing.layouts import Layout, names_in
from depthhub.testing.reference import reference_tensor
from depthhub.testing.shapes import Shape, Size, original_shapes

if TYPE_CHECKING:
    import torch

Container = Literal["pth", "legacy", "safetensors"]
Dtype = Literal["float32", "float16", "bfloat16"]

_AHEAD = 16
"""Tensors that are made at a time: enough for every core, few enough that a large file needs no large memory."""

_SAFETENSORS_DTYPES: dict[Dtype, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_BYTES: dict[Dtype, int] = {"float32": 4, "float16": 2, "bfloat16": 2}


def make_checkpoint(
    path: str | os.PathLike[str],
    *,
    encoder: str | Size = "tiny",
    shapes: Mapping[str, Shape] | None = None,
    container: Container | None = None,
    wrapper: str | None = None,
    beside: Mapping[str, object] | None = None,
    prefix: str = "",
    layout: Layout = "original",
    seed: int = 0,
    dtype: Dtype = "float32",
) -> Path:
    """Write a checkpoint: the path. V1, V2 and V2 metric have the same files, so nothing here says which.

    encoder: as in `original_shapes`; shapes: original keys and shapes in its place.
    container: `pth` (torch.save), `legacy` (before torch 1.6), `safetensors`; None goes by the suffix.
    wrapper: the key of an outer dict that holds the weights; beside: what else that dict holds (`epoch`...).
    prefix: before every key, such as `module.`. layout: whose names; the values are the same in each.
    seed: other values by the same rule; 0 gives the weights of the golden outputs.

    The same arguments give the same bytes, except for `legacy`: there torch writes memory addresses.
    Raises ValueError for a wrapper around safetensors, which can hold only tensors.
    """
    path = Path(path)
    container = container or ("safetensors" if path.suffix == ".safetensors" else "pth")
    shapes = original_shapes(encoder) if shapes is None else shapes
    if container == "safetensors":
        if wrapper is not None or beside is not None:
            raise ValueError("a safetensors file holds only tensors: it takes no wrapper and nothing beside")
        _write_safetensors(path, shapes, layout=layout, prefix=prefix, seed=seed, dtype=dtype)
    else:
        state = OrderedDict(_tensors(shapes, layout=layout, prefix=prefix, seed=seed, dtype=dtype))
        contents = state if wrapper is None else {wrapper: state, **(beside or {})}
        _write_torch(path, contents, legacy=container == "legacy")
    return path


def _write_torch(path: Path, contents: Mapping[str, object], *, legacy: bool) -> None:
    import torch

    # Given a path, torch would name the archive's folder after it, and the bytes would depend on the name.
    with path.open("wb") as file:
        torch.save(contents, file, _use_new_zipfile_serialization=not legacy)


def _write_safetensors(
    path: Path, shapes: Mapping[str, Shape], *, layout: Layout, prefix: str, seed: int, dtype: Dtype
) -> None:
    """Tensor by tensor, so that the file's size costs no memory (`safetensors` itself wants all of them at once)."""
    import torch

    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, shape in shapes.items():
        names = names_in(layout, key)
        part = (shape[0] // len(names), *shape[1:])
        for name in names:
            start, end = end, end + _BYTES[dtype] * math.prod(part)
            header[prefix + name] = {
                "dtype": _SAFETENSORS_DTYPES[dtype],
                "shape": part,
                "data_offsets": (start, end),
            }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, tensor in _tensors(shapes, layout=layout, prefix=prefix, seed=seed, dtype=dtype):
            file.write(tensor.view(torch.uint8).numpy().data)


def _tensors(
    shapes: Mapping[str, Shape], *, layout: Layout, prefix: str, seed: int, dtype: Dtype
) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors in the order of `shapes`, some of them made ahead in other threads."""
    import torch

    def make(key: str) -> torch.Tensor:
        return torch.from_numpy(reference_tensor(key, shapes[key], seed)).to(getattr(torch, dtype))

    keys = list(shapes)
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(keys), _AHEAD):
            window = keys[first : first + _AHEAD]
            for key, tensor in zip(window, pool.map(make, window), strict=True):
                names = names_in(layout, key)
                for name, part in zip(names, tensor.chunk(len(names)), strict=True):
                    # transformers keeps three tensors; torch would save, and load, views of one.
                    yield prefix + name, part.clone() if len(names) > 1 else part
