"""What stands in a file, in words: short enough for a message and a record, whatever the file calls its things."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 100
"""Characters of a name that are shown."""

MOST_LINES = 50
"""Decisions that are told one by one."""


def shown(name: object, most: int = LONGEST) -> str:
    """A name, cut where it is long; what is neither a text nor a number that somebody can read, by its type."""
    if isinstance(name, str):
        return name if len(name) <= most else f"{name[:most]}..."
    return str(name) if isinstance(name, int) and name.bit_length() <= 64 else f"<{type(name).__name__}>"


def quoted(name: object) -> str:
    """The same, as a program would write it."""
    return repr(shown(name)) if isinstance(name, str) else shown(name)


def listed(items: Sequence[str], most: int, joint: str = ", ") -> str:
    """The first of `items`, and how many more there are."""
    return joint.join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def few(lines: Sequence[str]) -> tuple[str, ...]:
    """`lines`, and one that counts the rest where they are many."""
    return tuple(lines[:MOST_LINES]) + ((f"and {len(lines) - MOST_LINES} more",) if len(lines) > MOST_LINES else ())
