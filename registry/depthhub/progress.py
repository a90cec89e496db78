"""What a long call tells its caller while it works."""

from collections.abc import Callable
from typing import Literal, NamedTuple

Stage = Literal[
    "resolving",
    "waiting",
    "fetching",
    "downloading",
    "verifying",
    "converting",
    "pushing",
    "exporting",
    "importing",
]


class Progress(NamedTuple):
    """One step of a long call: `done` of `total` bytes of `stage` for `source` (`total` None: not known).

    `detail` is one human sentence where a stage has something to say, such as whom a lock is waiting for.
    """

    source: str
    stage: Stage
    done: int = 0
    total: int | None = None
    detail: str = ""


Report = Callable[[Progress], None]
"""A caller's progress callback. Raising in it cancels the call; nothing half-made stays behind."""


def silent(_: Progress) -> None:
    """The callback of a caller who did not ask."""
