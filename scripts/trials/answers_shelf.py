"""The remote store that both machines of `answers` may be told of: a mounted folder that they read and fill."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from depthhub_cache.record import Record
from depthhub_cache.remote.store import record_name, weights_name

from .samples import Known
from .soundness import sha256_of

WAYS = ("", "read", "push")
"""What a call knows of it: nothing, where it is, or also that it may be filled."""


class Shelf:
    """What lies in it is looked at here, and never asked of the code that is tried."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._damaged: set[str] = set()

    @contextmanager
    def told(self, way: str) -> Iterator[None]:
        """The environment of a call."""
        env = {"DEPTHHUB_REMOTE": str(self.root) if way else "", "DEPTHHUB_PUSH": "1" if way == "push" else ""}
        with patch.dict(os.environ, env):
            yield

    def has(self, made: Known) -> bool:
        """Whether an entry lies there whole."""
        try:
            said = Record.parse((self.root / record_name(made.key)).read_bytes())
            return said.weights_sha256 == made.sha256 == sha256_of(self.root / weights_name(made.sha256))
        except (OSError, ValueError):
            return False

    def wrong_after_push(self, made: Known) -> str | None:
        """What is wrong with what a push said to be there; damage of the right size is found by who fetches it."""
        if self.has(made):
            self._damaged -= {record_name(made.key), weights_name(made.sha256)}
        elif weights_name(made.sha256) not in self._damaged:
            return f"{record_name(made.key)} was pushed, and is not there or not whole"
        return None

    def damage(self, chance: random.Random) -> str | None:
        """Change or cut one of the files there; which one."""
        files = sorted(path for path in self.root.glob("*") if path.suffix in (".json", ".safetensors"))
        if not files:
            return None
        path = chance.choice(files)
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data)) if data else 0
        if chance.random() < 0.5:
            data = data[:at]
        else:
            data[at : at + 1] = bytes([data[at] ^ 1]) if data else b""
        path.write_bytes(data)
        self._damaged.add(path.name)
        return path.name
