"""What a bad disk, a bad cable or a bad editor does to a file: bits, blocks, its end."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

_BLOCK = 512


def flip(data: bytes, chance: random.Random) -> bytes:
    """One bit."""
    return flip_before(data, len(data), chance)


def flip_before(data: bytes, end: int, chance: random.Random) -> bytes:
    """One bit of the first `end` bytes."""
    changed = bytearray(data)
    changed[chance.randrange(end)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    """Its end is missing: a byte, a block, anything down to all."""
    lost = chance.choice((1, 8, _BLOCK, 4096, chance.randrange(1, len(data) + 1), len(data)))
    return data[: max(0, len(data) - lost)]


def lengthen(data: bytes, chance: random.Random) -> bytes:
    """Something is behind its end."""
    return data + chance.randbytes(chance.choice((1, 8, _BLOCK)))


def zero_fill(data: bytes, chance: random.Random) -> bytes:
    """A block reads as zeroes; that of a small file, a part of it."""
    size = min(_BLOCK, max(1, len(data) // 8))
    start = chance.randrange(len(data) - size + 1)
    return data[:start] + bytes(size) + data[start + size :]


def swap(data: bytes, chance: random.Random) -> bytes:
    """Two blocks have each other's place."""
    size = min(_BLOCK, max(1, len(data) // 8))
    one, other = sorted(chance.sample(range(len(data) // size), 2))
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return b"".join(blocks)


Damage = Callable[[bytes, random.Random], bytes]

KINDS: Mapping[str, Damage] = {
    "bit flipped": flip,
    "cut short": cut,
    "bytes behind its end": lengthen,
    "block of zeroes": zero_fill,
    "blocks swapped": swap,
}

CHANGES_SIZE = frozenset({"cut short", "bytes behind its end"})

_SHARES = {"bit flipped": 70, "cut short": 20, "bytes behind its end": 2, "block of zeroes": 4, "blocks swapped": 4}


def draw(chance: random.Random) -> str:
    """A kind: mostly a flipped bit, often a file that was cut."""
    return chance.choices(list(_SHARES), list(_SHARES.values()))[0]


def damaged(data: bytes, kind: str, chance: random.Random) -> bytes:
    """`data` after damage of a kind: never as it was."""
    while True:
        changed = KINDS[kind](data, chance)
        if changed != data:
            return changed
