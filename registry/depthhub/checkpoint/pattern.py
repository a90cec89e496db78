"""Names of tensors with one number in them, and arithmetic on it."""

from __future__ import annotations

import re
from typing import NamedTuple

_BLANKS = re.compile(r"(\*\*|\*|#|\{#[+-]\d+\}|\{\d+-#\})")
_NUMBER = r"(?P<number>0|[1-9][0-9]{0,4})"
"""Without leading zeros: each name has one spelling, so that the way back is the way there."""


class Blanks(NamedTuple):
    """What a name has in the places that its pattern leaves open."""

    number: int = 0
    rest: str = ""


class Pattern:
    """A name with blanks: `#` is any integer, `*` is weight or bias, `**` is the rest of the name.

    `{#-1}` and `{4-#}` are integers that count otherwise: where `#` is 1 on the rule's other side, they are 0 and 3.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._sign, self._shift = 1, 0
        parts, template = [], []
        for blank in _BLANKS.split(text):
            if "#" in blank:
                self._sign, self._shift = _arithmetic(blank)
                parts.append(_NUMBER)
                template.append("{number}")
            elif blank in ("*", "**"):
                parts.append("(?P<rest>weight|bias)" if blank == "*" else "(?P<rest>.+)")
                template.append("{rest}")
            else:
                parts.append(re.escape(blank))
                template.append(blank)
        self._regex = re.compile("".join(parts))
        self._template = "".join(template)

    def match(self, name: str) -> Blanks | None:
        """The blanks of `name`, or None where it is not of this pattern."""
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        groups = found.groupdict()
        written = int(groups.get("number") or 0)
        return Blanks((written - self._shift) * self._sign, groups.get("rest") or "")

    def fill(self, blanks: Blanks) -> str:
        """The name that has these blanks."""
        return self._template.format(number=self._sign * blanks.number + self._shift, rest=blanks.rest)


def _arithmetic(blank: str) -> tuple[int, int]:
    """(sign, shift) of what is written in the name: sign x # + shift."""
    if blank == "#":
        return 1, 0
    before, after = blank.strip("{}").split("#")
    return (-1, int(before[:-1])) if before else (1, int(after))
