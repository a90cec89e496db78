"""A safetensors file seen from its header alone: no tensor is read, no library is needed.

The format: 8 bytes, little endian, the size of the header; the header, JSON; the data, which the tensors cover exactly.
"""

from __future__ import annotations

import hashlib
import reprlib
from pathlib import Path
from typing import Any

from .identity import ContentHash
from .json_object import parse_object
from .reading import open_file

_MOST_DIMENSIONS = 64
_SIZE_LIMIT = 100_000_000  # what the format's own parser accepts
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8}
_BITS |= {"F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8}
_BITS |= {"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32}
_BITS |= {"I64": 64, "U64": 64, "F64": 64, "C64": 64}


def header_digest(path: Path, size: int) -> ContentHash:
    """The sha256 of the header, its length included. Raises ValueError where it does not fit into `size` bytes."""
    start, text = _read(path, size)
    return ContentHash(hashlib.sha256(start + text).hexdigest())


def check_header(path: Path, size: int) -> None:
    """Raises ValueError, saying what is wrong, unless the tensors fill a file of `size` bytes to its end."""
    _, text = _read(path, size)
    length, header = len(text), parse_object(text, limit=_SIZE_LIMIT)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata is not text")
    reached = 0
    for begin, end, name in sorted(_extent(name, facts, size) for name, facts in header.items()):
        if begin != reached:
            raise ValueError(f"tensor {reprlib.repr(name)} begins at byte {begin:,} of the data instead of {reached:,}")
        reached = end
    if 8 + length + reached != size:
        raise ValueError(f"its tensors end at byte {8 + length + reached:,}, the file at {size:,}")


def _read(path: Path, size: int) -> tuple[bytes, bytes]:
    """The header's length as it is written, and its text."""
    with open_file(path) as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, _SIZE_LIMIT):
            raise ValueError(f"its header does not fit into {size:,} bytes")
        text = file.read(length)
    if len(text) < length:
        raise ValueError("its header is cut short")
    return start, text


def _extent(name: str, facts: Any, size: int) -> tuple[int, int, str]:
    try:
        bits, shape, (begin, end) = _BITS[facts["dtype"]], facts["shape"], facts["data_offsets"]
        numbers = [*shape, begin, end]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"tensor {reprlib.repr(name)} is not described as a tensor is") from None
    if not all(type(number) is int and 0 <= number <= size for number in numbers) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {reprlib.repr(name)} has sizes that no tensor of this file can have")
    count = 1
    for number in shape:
        count = min(count * number, 8 * size + 1)  # more than the file holds is more, however much
    if count * bits != (end - begin) * 8:
        raise ValueError(f"tensor {reprlib.repr(name)} of shape {shape} does not fit its {end - begin:,} bytes")
    return begin, end, name
