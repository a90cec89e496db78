"""The sha256 of a file: what a first call has to know before it parses anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run(given: Mapping[str, Any]) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(4 << 20))
    with Path(given["checkpoint"]).open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
