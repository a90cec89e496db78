"""The exact account of a state dict, in words: every name that is too many, missing or of the wrong shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import UnknownKeysError
from .words import listed, shown

_LONGEST, _MOST = 300, 200
"""Characters of an item, and items of a group, that the message shows."""

_FIRST_NUMBER = re.compile(r"(?<=\.)(?:0|[1-9]\d{0,8})(?=\.)")


def account_error(
    path: Path,
    headline: str,
    *,
    unexpected: Sequence[str] = (),
    missing: Sequence[str] = (),
    misshapen: Sequence[str] = (),
    advice: str = "",
) -> UnknownKeysError:
    """The error that lists them in groups, and all but what is endless; its attributes hold them one by one."""
    groups = {"unexpected": unexpected, "missing": missing, "of the wrong shape": misshapen}
    lines = [f"{path}: {headline}"]
    for what, names in groups.items():
        if names:
            items = [shown(item, _LONGEST) for item in compact(names)]
            lines.append(f"  {len(names)} {what}: {listed(items, _MOST, '; ')}")
    if advice:
        lines.append(advice)
    return UnknownKeysError("\n".join(lines), path=path, unexpected=unexpected, missing=missing, misshapen=misshapen)


def compact(names: Iterable[str]) -> list[str]:
    """All of `names` in few words: those that differ in one number alone are one item (`blocks.{0-11}.norm1.bias`)."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for name in names:
        match = _FIRST_NUMBER.search(name)
        if match is None:
            numbers.setdefault((name, ""), [])
        else:
            numbers.setdefault((name[: match.start()], name[match.end() :]), []).append(int(match[0]))
    return [before + _ranges(found) + after for (before, after), found in numbers.items()]


def _ranges(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return words[0] if len(numbers) == 1 else "{" + ",".join(words) + "}" if words else ""
