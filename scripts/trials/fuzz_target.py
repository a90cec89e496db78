"""What the fuzz trial has to know of a parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Change = Callable[[bytes, Sequence[bytes]], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """share: of all inputs, in thousandths. sound: inputs that parse. change: a strange one of a sound one, and others.

    bombs: inputs that are meant to cost much.
    parse: raises nothing but `refusals`, and AssertionError where what it gives back is not as promised.
    """

    name: str
    share: int
    sound: Sequence[bytes]
    change: Change
    parse: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    bombs: Sequence[bytes] = ()


def words_in(text: bytes) -> list[bytes]:
    """The strings in a text of JSON."""
    return [piece for piece in text.split(b'"')[1::2] if piece][:60] or [b"x"]
