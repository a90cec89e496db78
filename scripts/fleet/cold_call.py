"""A program of its own: one cold `prewarm` in a fresh process, and when its bytes came. Prints JSON.

python cold_call.py '{"source": "vits", "options": {}}'
"""

from __future__ import annotations

import json
import sys
import time

from depthhub import prewarm
from depthhub.progress import Progress

_TAKING = ("downloading", "fetching")


def main(asked: str) -> None:
    given = json.loads(asked)
    came: list[tuple[float, int]] = []

    def note(progress: Progress) -> None:
        if progress.stage in _TAKING and not progress.detail:
            came.append((time.monotonic(), progress.done))

    [made] = prewarm([given["source"]], progress=note, **given["options"])
    ended = time.monotonic()
    (began, first), (last, done) = came[0], came[-1]
    print(
        json.dumps(
            {
                "key": made.key,
                "entry_bytes": made.size,
                "intake": (done - first) / (last - began),
                "rest_seconds": ended - last,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
