"""The converted file: safetensors that carry their config, the same bytes wherever they are made.

Checkpoint and recipe decide every byte: the header is canonical, and the tensors have one order. Those whose size is a
multiple of 64 bytes come first, in the order of the authors' state dict, and the data begins at a multiple of 64, so
that each of them does. The few others follow, widest numbers first, so that every number is aligned to its own size.
"""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

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
        with path.open("rb", buffering=0) as file:
            content = _mapped(file) if mapped else _read(file)
        metadata, tensors = _views_of(content)
        header = ConvertedHeader.in_metadata(metadata, path=path)
        return {name: tensor.to(device) for name, tensor in tensors.items()}, header
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read as a converted file: {reason}.", path=path) from error


def _mapped(file: FileIO) -> mmap.mmap:
    """The file, page by page when one is touched: shared by all processes. What is written to it stays in this one."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _read(file: FileIO) -> bytearray:
    """The file, read from its beginning to its end into memory of this process."""
    content = bytearray(os.fstat(file.fileno()).st_size)
    view, filled = memoryview(content), 0
    while count := file.readinto(view[filled:]):
        filled += count
    if filled < len(content):
        raise ValueError(f"it ends after {filled:,} of {len(content):,} bytes")
    return content


def _views_of(content: mmap.mmap | bytearray) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata of a safetensors file, and the tensors that a model needs; they keep `content` alive."""
    import torch

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
    return metadata, tensors


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
