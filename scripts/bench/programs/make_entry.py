"""Makes the entry of a source, or remembers that this source has an entry that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from depthhub import prewarm


def run(given: Mapping[str, Any]) -> None:
    prewarm([given["source"]], **given["options"])
