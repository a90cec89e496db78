"""Makes strange inputs of sound ones: bits, pieces, tokens, and edits of JSON, all from one seeded random."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

_LONGEST = 1 << 16
"""Bytes of what is made at most, but for one in a few thousand."""

_NUMBERS = (0, 1, -1, 7, 255, 4096, 2**31 - 1, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63), 10**18, 10**400)
_VALUES: tuple[Any, ...] = (None, True, False, 0.0, -0.5, 1e308, "", "x", "é", "\ud800", "\0", "..", "../x", "x" * 300)
_VALUES += ([], {}, [[]], {"": {}}, [0] * 50, "0" * 64, "f" * 40, "9" * 5000, "2024-01-01T00:00:00+00:00")
_RAW = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 400, b"1" * 5000, b"\xef\xbb\xbf", b"\x00", b"\xff\xfe")
_RAW += (
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"[" * 3000,
    b'{"a":' * 2000,
    b" " * 99,
)


class Mutator:
    """tokens: pieces that mean something to the parser; the more of them an input holds, the deeper it gets."""

    def __init__(self, chance: random.Random, *, tokens: Sequence[bytes] = ()) -> None:
        self._chance = chance
        self._tokens = (*tokens, *tokens, *_RAW)
        self._ways: tuple[Callable[[bytearray], None], ...] = (
            self._flip_bit, self._flip_bit, self._set_byte, self._drop, self._double, self._insert_token,
            self._insert_token, self._put_token, self._cut, self._swap,
        )  # fmt: skip

    def bytes(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """`data`, changed in one to a few places, or joined with one of `others`."""
        changed = bytearray(data)
        for _ in range(self._few()):
            if self._chance.random() < 0.1:
                other = self._chance.choice(others)
                changed[self._place(changed) :] = other[self._place(other) :]
            else:
                self._chance.choice(self._ways)(changed)
        if self._chance.random() < 0.002:
            changed = changed * self._chance.randrange(2, 200)
        return bytes(changed[:_LONGEST]) if len(changed) > _LONGEST and self._chance.random() < 0.9 else bytes(changed)

    def json(self, value: Any) -> Any:
        """A copy of a JSON value, changed in one to a few places."""
        changed = json.loads(json.dumps(value))
        for _ in range(self._few()):
            changed = self._edit(changed)
        return changed

    def json_text(self, text: bytes) -> bytes:
        """The text of a changed JSON value; `text` as it is where it is no JSON."""
        try:
            return json.dumps(self.json(json.loads(text))).encode()
        except (ValueError, RecursionError):
            return text

    def number(self) -> int:
        """One at which parsers stumble, or one near it."""
        return self._chance.choice(_NUMBERS) + self._chance.choice((0, 0, 0, 1, -1, 8))

    def _edit(self, value: Any) -> Any:
        """Change `value` at a place that is drawn on the way down."""
        inside = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if not inside or self._chance.random() < 0.05:
            return self._other(value)
        at = self._chance.choice(inside)
        way = self._chance.random()
        if way < 0.7:
            value[at] = self._edit(value[at])
        elif way < 0.8:
            del value[at]
        elif isinstance(value, list):
            value.insert(at, copy.deepcopy(value[self._chance.choice(inside)]))
            if way > 0.98:
                value.extend(value[: len(value)] * self._chance.randrange(1, 40))
        else:
            name = self._chance.choice(inside) if way < 0.9 else self._word()
            value[name] = copy.deepcopy(value[at])
        return value

    def _other(self, value: Any) -> Any:
        way = self._chance.random()
        if way < 0.25:
            return self.number()
        if way < 0.45 and self._tokens:
            return self._word()
        if way < 0.6 and isinstance(value, str):
            return self.bytes(value.encode("utf-8", "surrogatepass"), [b""]).decode("utf-8", "replace")
        if way < 0.7:
            return [value]
        if way < 0.75:
            return {self._word(): value}
        return copy.deepcopy(self._chance.choice(_VALUES))

    def _word(self) -> str:
        return self._chance.choice(self._tokens).decode("utf-8", "replace")

    def _few(self) -> int:
        return 1 if self._chance.random() < 0.6 else self._chance.randrange(2, 8)

    def _place(self, data: bytes | bytearray) -> int:
        return self._chance.randrange(len(data) + 1)

    def _range(self, data: bytearray) -> slice:
        start = self._place(data)
        return slice(start, min(len(data), start + self._chance.choice((1, 1, 2, 4, 8, 64, 512))))

    def _flip_bit(self, data: bytearray) -> None:
        if data:
            data[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)

    def _set_byte(self, data: bytearray) -> None:
        if data:
            data[self._chance.randrange(len(data))] = self._chance.randrange(256)

    def _drop(self, data: bytearray) -> None:
        del data[self._range(data)]

    def _double(self, data: bytearray) -> None:
        piece = self._range(data)
        data[piece.start : piece.start] = data[piece]

    def _insert_token(self, data: bytearray) -> None:
        place = self._place(data)
        data[place:place] = self._chance.choice(self._tokens)

    def _put_token(self, data: bytearray) -> None:
        data[self._range(data)] = self._chance.choice(self._tokens)

    def _cut(self, data: bytearray) -> None:
        del data[self._place(data) :]

    def _swap(self, data: bytearray) -> None:
        one, other = self._range(data), self._range(data)
        if one.stop <= other.start:
            first, second = bytes(data[one]), bytes(data[other])
            data[other] = first
            data[one] = second
