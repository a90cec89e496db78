"""The converted file: safetensors that carry their config, the same bytes wherever they are made.

Checkpoint and recipe decide every byte: the header is canonical, and the tensors have one order. Those whose size is a
multiple of 64 bytes come first, in the order of the authors' state dict, and the data begins at a multiple of 64, so
that each of them does. The few others follow, widest numbers first, so that every number is aligned to its own size.
"""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from depthhub_cache.identity import ContentHash

from ..errors import CheckpointError
from .containers import require_utf8
from .header import METADATA, ConvertedHeader
from .recipe import UNUSED

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .convert import Converted

ALIGNMENT = 64
CHUNK = 4 << 20
"""Bytes that are handed on at a time."""

_DTYPES = {"float64": ("F64", 8), "float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2)}
"""Name in the file, bytes of a number."""


def write_converted(
    write: Callable[[memoryview], object],
    converted: Converted,
    *,
    content_hash: ContentHash,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Hand the bytes of the file to `write`, in order, at most 4 MiB at a time, straight from the tensors' memory.

    content_hash: of the checkpoint. progress: told bytes done and bytes in all, after each write.
    """
    sizes = {name: _nbytes(converted, name) for name in converted.weights}
    order = sorted(sizes, key=lambda name: (sizes[name] % ALIGNMENT != 0, -_DTYPES[converted.dtype(name)][1]))
    text = ConvertedHeader(converted.config, converted.recipe, content_hash).to_text()
    header = _header(converted, text, sizes, order)

    done, total = 0, len(header) + sum(sizes.values())
    for chunk in _chunks(memoryview(header), converted, order):
        write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, total)


def read_converted(
    path: Path, *, device: torch.device | str = "cpu", mapped: bool = True
) -> tuple[dict[str, Tensor], ConvertedHeader]:
    """The tensors that a model needs, and what the file says of itself. On the CPU they are views of the mapped file.

    mapped: if not, the file is read at once, into one private copy: right where it lies behind a network.
    What takes no part in inference (`unused.*`) stays in the file. Raises CheckpointError where it is no converted
    file of this version, or damaged, or where its path is not valid UTF-8.
    """
    require_utf8(path)
    try:
        if not mapped:
            tensors, metadata = _read_at_once(path)
            on_device = {name: tensor.to(device) for name, tensor in tensors.items()}
            return on_device, ConvertedHeader.in_metadata(metadata, path=path)
        with safe_open(path, framework="pt", device=str(device)) as file:
            header = ConvertedHeader.in_metadata(file.metadata(), path=path)
            names = [name for name in file.keys() if not name.startswith(UNUSED)]  # noqa: SIM118  it is no dict
            return {name: file.get_tensor(name) for name in names}, header
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} cannot be read as a converted file: {error}.", path=path) from error
    except RuntimeError as error:  # torch's word for a file that the system does not open or map
        reason = str(error).partition("\n")[0]
        why = OSError(reason) if path.exists() else FileNotFoundError(reason)
        raise CheckpointError(f"{path} cannot be read as a converted file: {reason}.", path=path) from why


def _read_at_once(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors that a model needs, views of one private copy of the file, and the file's metadata."""
    import torch

    content = bytearray(path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        view, filled = memoryview(content), 0
        while count := file.readinto(view[filled:]):
            filled += count
    if filled < len(content):
        raise ValueError(f"it ends after {filled:,} of {len(content):,} bytes")
    data = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:data])
    metadata, tensors = header.pop("__metadata__", {}), {}
    dtypes = {code: (getattr(torch, name), size) for name, (code, size) in _DTYPES.items()}
    for name, facts in header.items():
        if not name.startswith(UNUSED):
            dtype, size = dtypes[facts["dtype"]]
            begin, end = facts["data_offsets"]
            flat = torch.frombuffer(content, dtype=dtype, count=(end - begin) // size, offset=data + begin)
            tensors[name] = flat.view(facts["shape"])
    return tensors, metadata


def bytes_of(converted: Converted) -> int:
    """What the tensors of the file will take; its header comes on top, some hundred thousand bytes at most."""
    return sum(_nbytes(converted, name) for name in converted.weights)


def _nbytes(converted: Converted, name: str) -> int:
    return math.prod(converted.weights[name].shape) * _DTYPES[converted.dtype(name)][1]


def _header(converted: Converted, text: str, sizes: dict[str, int], order: list[str]) -> bytes:
    """Length and header of the safetensors format; blanks at its end bring the data to where it should begin."""
    offsets, end = {}, 0
    for name in order:
        offsets[name] = [end, end + sizes[name]]
        end += sizes[name]
    facts: dict[str, object] = {"__metadata__": {METADATA: text}}
    for name, weight in converted.weights.items():
        code, _ = _DTYPES[converted.dtype(name)]
        facts[name] = {"dtype": code, "shape": list(weight.shape), "data_offsets": offsets[name]}
    encoded = json.dumps(facts, separators=(",", ":")).encode("ascii")
    encoded += b" " * (-(8 + len(encoded)) % ALIGNMENT)
    return len(encoded).to_bytes(8, "little") + encoded


def _chunks(header: memoryview, converted: Converted, order: list[str]) -> Iterator[memoryview]:
    yield header
    for name in order:
        tensor = converted.tensor(name)  # this name keeps the memory alive while its bytes are handed on
        size = tensor.numel() * tensor.element_size()
        raw = memoryview((ctypes.c_char * size).from_address(tensor.data_ptr()))
        for start in range(0, size, CHUNK):
            yield raw[start : start + CHUNK]
