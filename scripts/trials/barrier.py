"""Processes that begin at the same moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from .children import Child, Ended, Tell

Work = Callable[[Tell], Any]


def together(works: Sequence[Work], *, seconds: float) -> list[Ended]:
    """Fork a process for each, let all begin when the last is there, and say how each ended."""
    ready, at_ready = os.pipe()
    waiting, go = os.pipe()

    def after_the_others(work: Work) -> Work:
        def begin(tell: Tell) -> Any:
            os.close(go)
            os.write(at_ready, b".")
            os.read(waiting, 1)  # until its other end is closed everywhere
            return work(tell)

        return begin

    children = [Child(after_the_others(work), seconds=seconds) for work in works]
    os.close(at_ready)
    there = 0
    while there < len(children) and (come := os.read(ready, len(children))):
        there += len(come)
    for pipe in (go, waiting, ready):
        os.close(pipe)
    return [child.end() for child in children]
