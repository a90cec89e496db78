"""Small facts on the disk that prove themselves: a JSON object whose last member is the sha256 of all text before it.

What is read back is exactly what was written, byte for byte, or it is not read at all: neither a flipped bit nor an
edit by hand passes. It is no signature: who can write a file can seal it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .json_object import parse_object, require_shallow

_NAME = b'  "sha256": "'
_END = b'"\n}\n'
_DIGITS = 64


def seal(facts: Mapping[str, object]) -> bytes:
    """The text of `facts`, plain JSON, with its seal. Raises TypeError or ValueError for anything else."""
    if not facts or "sha256" in facts:
        raise ValueError("what is sealed has members, and none is called sha256")
    try:
        text = json.dumps(dict(facts), indent=2, allow_nan=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    require_shallow(dict(facts))
    body = text.encode("ascii").removesuffix(b"\n}") + b",\n" + _NAME
    return body + _digest(body) + _END


def unseal(data: bytes, *, limit: int) -> dict[str, Any]:
    """The facts in `data`, of `limit` bytes at most. Raises ValueError, saying why, for a byte not as sealed."""
    body, digest, end = data[: -_DIGITS - len(_END)], data[-_DIGITS - len(_END) : -len(_END)], data[-len(_END) :]
    if len(data) <= limit and not (body.endswith(_NAME) and end == _END and digest == _digest(body)):
        raise ValueError("it does not end in the sha256 of its text: it is damaged, or was edited")
    facts = parse_object(data, limit=limit)
    del facts["sha256"]
    return facts


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode("ascii")
