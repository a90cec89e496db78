"""The converted file: safetensors that carry their config, the same bytes wherever they are made.

Checkpoint and recipe decide every byte: the header is canonical, and the tensors have one order. Those whose size is a
multiple of 64 bytes come first, in the order of the authors' state dict, and the data begins at a multiple of 64, so
that each of them does. The few others follow, widest numbers first, so that every number is aligned to its own size.
"""

import ctypes
import json
import math
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from depthhub_cache.entry import FileState, file_state
from depthhub_cache.identity import ContentHash

from ..errors import CheckpointError, DepthHubError
from .containers import require_utf8
from .header import LIMIT, METADATA, ConvertedHeader
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
    converted: "Converted",
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


class Place(NamedTuple):
    """Where a tensor lies in the file: the bytes from `begin` to `end`. dtype: a `torch.dtype`."""

    name: str
    dtype: Any
    shape: Sequence[int]
    begin: int
    end: int


def read_converted(
    path: Path,
    *,
    device: "torch.device | str" = "cpu",
    mapped: bool = True,
    state: FileState | None = None,
) -> "tuple[dict[str, Tensor], ConvertedHeader]":
    """The tensors that a model needs, and what the file says of itself. On the CPU they are views of the mapped file;
    another device gets the file piece by piece, and the host never holds it whole.

    mapped: if not, the CPU gets the file at once, in one private copy: right where it lies behind a network. state: of
    the file that is meant. What takes no part in inference (`unused.*`) stays in the file.
    Raises CheckpointError where it is no converted file of this version, or damaged, or another one than was meant, or
    where its path is not valid UTF-8; OptionError where the device fails.
    """
    require_utf8(path)
    try:
        with path.open("rb", buffering=0) as file:
            if state not in (None, file_state(os.fstat(file.fileno()))):
                raise CheckpointError("another one took its place while it was opened", path=path)
            if str(device) == "cpu":
                metadata, tensors = _views_of(_mapped(file) if mapped else _read(file))
                return tensors, ConvertedHeader.in_metadata(metadata, path=path)
            metadata, places = _places_in(file)
            header = ConvertedHeader.in_metadata(metadata, path=path)
            from .onto_device import carrier_of, onto_device

            return onto_device(file, places, carrier_of(device)), header
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError) as error:
        if isinstance(error, DepthHubError):
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


def _views_of(content: mmap.mmap | bytearray) -> "tuple[dict[str, str], dict[str, Tensor]]":
    """The metadata of a safetensors file, and the tensors that a model needs; they keep `content` alive."""
    import torch

    data = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:data])
    metadata, tensors = header.pop("__metadata__", {}), {}
    for name, dtype, shape, begin, end in _places(header, data):
        flat = torch.frombuffer(content, dtype=dtype, count=(end - begin) // dtype.itemsize, offset=begin)
        tensors[name] = flat.view(shape)
    return metadata, tensors


def _places_in(file: FileIO) -> tuple[dict[str, str], list[Place]]:
    """The metadata of a safetensors file, and where the tensors lie that a model needs: all of it in the file."""
    length, size = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
    if length > LIMIT:
        raise ValueError(f"it announces a header of {length:,} bytes")
    header = json.loads(file.read(length))
    metadata, places = header.pop("__metadata__", {}), list(_places(header, 8 + length))
    for place in places:
        if place.end > size:
            raise ValueError(f"it ends after {size:,} bytes, and {place.name} at {place.end:,}")
    return metadata, places


def _places(header: dict[str, Any], data: int) -> Iterator[Place]:
    """data: where the numbers begin, in bytes from the beginning of the file. Raises ValueError where none can lie."""
    import torch

    dtypes = {code: getattr(torch, name) for name, (code, _) in _DTYPES.items()}
    for name, facts in header.items():
        if not name.startswith(UNUSED):
            (begin, end), shape, dtype = facts["data_offsets"], facts["shape"], dtypes[facts["dtype"]]
            if begin < 0 or min(shape, default=0) < 0 or end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name} of shape {shape} cannot have the bytes from {begin:,} to {end:,}")
            yield Place(name, dtype, shape, data + begin, data + end)


def bytes_of(converted: "Converted") -> int:
    """What the tensors of the file will take; its header comes on top, some hundred thousand bytes at most."""
    return sum(_nbytes(converted, name) for name in converted.weights)


def _nbytes(converted: "Converted", name: str) -> int:
    return math.prod(converted.weights[name].shape) * _DTYPES[converted.dtype(name)][1]


def _header(converted: "Converted", text: str, sizes: dict[str, int], order: list[str]) -> bytes:
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


def _chunks(header: memoryview, converted: "Converted", order: list[str]) -> Iterator[memoryview]:
    yield header
    for name in order:
        tensor = converted.tensor(name)  # this name keeps the memory alive while its bytes are handed on
        size = tensor.numel() * tensor.element_size()
        raw = memoryview((ctypes.c_char * size).from_address(tensor.data_ptr()))
        for start in range(0, size, CHUNK):
            yield raw[start : start + CHUNK]
        if size >= CHUNK:
            converted.release()
