"""Inputs that are meant to cost: deep, wide, long, with numbers that no machine counts. A few MiB each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

_MANY = 100_000
_DIGITS = 4_000  # more than 4,300 are no number to Python


def json_values() -> list[bytes]:
    """Texts of JSON, each a value."""
    return [
        b"[" * _MANY + b"]" * _MANY,
        b'{"a":' * _MANY + b"1" + b"}" * _MANY,
        b"[" + b"{}," * _MANY + b"{}]",
        b"{" + b",".join(b'"%d": %d' % (number, number) for number in range(_MANY)) + b"}",
        b"{" + b'"same": 1,' * _MANY + b'"same": 2}',
        b'"' + b"x" * 10 * _MANY + b'"',
        b'"' + b"\\u0041" * _MANY + b'"',
        b"9" * 10 * _MANY,
        b"[" + b",".join([b"9" * _DIGITS] * 100) + b"]",
        b"1e" + b"9" * _MANY,
    ]


def sealed() -> list[bytes]:
    """The same as a member of something that is properly sealed."""
    bodies = [b'{\n  "schema": 1,\n  "about": ' + value + b',\n  "sha256": "' for value in json_values()]
    return [body + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n' for body in bodies]


def instead_of(sound: bytes, *places: bytes) -> list[bytes]:
    """Sound JSON, with each of the values in place of what stands at `places`."""
    return [sound.replace(place, value, 1) for place in places for value in json_values()]


def headers() -> list[bytes]:
    """Files of safetensors whose header is large, or speaks of sizes that are."""
    huge = int("9" * _DIGITS)
    tensor = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    facts: Sequence[object] = [
        {"w": {**tensor, "shape": [huge] * 300}},
        {"w": {**tensor, "shape": [2**63 - 1] * 50_000}},
        {"w": {**tensor, "shape": [2] * 200_000}},
        {"w": {**tensor, "data_offsets": [0, huge]}},
        {"w" * 1_000_000: {**tensor, "dtype": "X" * 100_000}},
        {f"w{number}": tensor for number in range(20_000)},
        {"__metadata__": {str(number): "x" for number in range(_MANY)}},
        {"__metadata__": {"depthhub": "[" * _MANY}},
    ]
    every = [*(json.dumps(value).encode() for value in facts), *json_values()]
    return [len(text).to_bytes(8, "little") + text for text in every]


def texts(pieces: Sequence[bytes], prefix: bytes = b"") -> list[bytes]:
    """Each piece over and over: what a pattern may try in too many ways."""
    return [prefix + piece * (_MANY // len(piece)) + end for piece in pieces for end in (b"", b"\n", b"!")]
