"""The other process of `probes.py`: says what it gets while its parent holds two locks. Run as a file, never imported.

    python -I witness.py '{"path": [...], "locks": {"flock": "...", "soft": "..."}, "map": "...", "sha256": "..."}'

A JSON line for each answer, at once: a mapped page that cannot be had ends the process, and not its parent.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import sys
from typing import Any


def main(question: dict[str, Any]) -> None:
    """Answer: for each lock whether this process is excluded, then whether a mapped file has its bytes."""
    sys.path[:] = question["path"]  # the parent's filelock, wherever that is from
    for kind, path in question["locks"].items():
        _say(kind, _is_excluded(kind, path))
    with open(question["map"], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:  # noqa: PTH123
        _say("map", hashlib.sha256(mapped).hexdigest() == question["sha256"])


def _is_excluded(kind: str, path: str) -> bool:
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(path) if kind == "flock" else SoftFileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # refused is not excluded: the next one may not be refused
        return False
    lock.release()
    return False


def _say(name: str, answer: bool) -> None:
    sys.stdout.write(json.dumps({name: answer}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
