"""JSON from outside: bounded, and an object or a ValueError."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parse_object(data: bytes, *, limit: int) -> dict[str, Any]:
    """The JSON object in `data`, of `limit` bytes at most. Raises ValueError for anything else."""
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit:,} bytes")
    try:
        found = json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  wrong content, whatever its type
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
