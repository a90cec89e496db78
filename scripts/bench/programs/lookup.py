"""From a name to its entry, without loading it: `prewarm` of what is there. Neither torch nor the Hub's client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from depthhub import prewarm


def run(given: Mapping[str, Any]) -> None:
    [found] = prewarm([given["source"]], **given["options"])
    if not found.cached:
        raise RuntimeError(f"{given['source']} was not in the cache")
