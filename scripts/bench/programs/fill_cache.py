"""Makes a cache hold many entries of two bytes, and many refs. Nothing is brought to the disk: no crash is expected."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthhub_cache.identity import Key
from depthhub_cache.store import Store

_EMPTY = (2).to_bytes(8, "little") + b"{}"
"""A file of safetensors with no tensor in it."""


def _nothing(fd: object) -> None:
    """In place of `os.fsync`."""


def run(given: Mapping[str, Any]) -> None:
    """given: `cache`; `entries` and `refs`, the ranges of their numbers."""
    os.fsync = _nothing
    store = Store(Path(given["cache"]))
    for number in range(*given["entries"]):
        with store.stage() as staging:
            with staging.file("weights.safetensors") as file:
                file.write(_EMPTY)
            store.publish(Key(hashlib.sha256(b"%d" % number).hexdigest()), staging, about={"number": number})
    for number in range(*given["refs"]):
        store.remember(f"hub:nobody/repo-{number}/model.pth@main", {"number": number})
