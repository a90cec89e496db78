"""JSON from outside: bounded, of plain values alone, and an object or a ValueError."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

_DEEPEST = 100
"""Lists and objects that lie in each other: more than anybody needs, few enough for every function that descends."""


def parse_object(data: bytes, *, limit: int) -> dict[str, Any]:
    """The JSON object in `data`, of `limit` bytes at most. Raises ValueError for anything else."""
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit:,} bytes")
    try:
        found = json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  wrong content, whatever its type
    require_shallow(found)
    return found


def require_shallow(value: object) -> None:
    """Raises ValueError where lists and objects, without cycles, lie in each other deeper than is read back."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _inside(value: object) -> list[object]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [item for item in inner if isinstance(item, dict | list | tuple)]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is larger than any number here")
    return number
