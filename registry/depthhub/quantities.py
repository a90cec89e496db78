"""Sizes and ages as people write them: `20GB`, `1.5 TiB`, `90d`, `12h`."""

from __future__ import annotations

import re

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_QUANTITY = r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)"


def parse_bytes(text: str) -> int:
    """Bytes. Raises ValueError, saying how to write it."""
    number, unit = _parts(text)
    if unit not in _SIZES:
        raise ValueError(f"{text!r} is not a size; write 20GB, 500MB, 1.5TiB, or a number of bytes")
    return int(number * _SIZES[unit])


def parse_age(text: str) -> float:
    """Seconds. Raises ValueError, saying how to write it."""
    number, unit = _parts(text)
    if unit not in _AGES:
        raise ValueError(f"{text!r} is not an age; write 90d, 12h, 30m or 2w")
    return number * _AGES[unit]


def _parts(text: str) -> tuple[float, str]:
    match = re.fullmatch(_QUANTITY, text.strip().lower(), re.ASCII)
    return (float(match[1]), match[2]) if match else (0.0, "?")
