"""Locks that exclude nobody, as on file systems where every lock succeeds for everyone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filelock import BaseFileLock

from .children import Tell

GRANTED = "granted a lock that is none"


def turn_off_locks(tell: Tell) -> None:
    """In this process, for good: whoever asks for a lock has it at once. Tells each that is granted."""

    @contextmanager
    def held() -> Iterator[None]:
        yield

    def acquire(*_: Any, **__: Any) -> Any:
        tell(GRANTED)
        return held()

    def lock_file(*_: Any, **__: Any) -> None:
        tell(GRANTED)

    BaseFileLock.acquire = acquire  # type: ignore[method-assign]
    BaseFileLock.release = lambda *_, **__: None  # type: ignore[method-assign,assign]
    fcntl.flock = fcntl.lockf = lock_file  # type: ignore[assignment]
