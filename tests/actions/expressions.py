"""The few expressions that our workflows and actions use, as the runner evaluates them; any other is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Context = Mapping[str, Any]
"""`inputs`, `steps`, `github`, ...: nested mappings that end in texts."""

_TEMPLATE = re.compile(r"\$\{\{(.*?)\}\}")
_LOOKUP = re.compile(r"[a-z_]+(?:\.[A-Za-z_][A-Za-z0-9_-]*)+")
_COMPARISON = re.compile(r"(?P<left>\S+)\s*(?P<how>==|!=)\s*'(?P<right>[^']*)'")


def expand(text: str, context: Context) -> str:
    """A text with its `${{ }}` replaced."""
    return _TEMPLATE.sub(lambda found: look_up(found[1].strip(), context), text)


def holds(condition: str, context: Context) -> bool:
    """Whether an `if:` is true: one comparison of a value with a text."""
    compared = _COMPARISON.fullmatch(condition.strip())
    if compared is None:
        raise NotImplementedError(f"if: {condition}")
    return (look_up(compared["left"], context) == compared["right"]) == (compared["how"] == "==")


def look_up(path: str, context: Context) -> str:
    """The value at `steps.key.outputs.path`. What is not there is empty, as for the runner; its context has to be."""
    if not _LOOKUP.fullmatch(path):
        raise NotImplementedError(f"the expression {path}")
    first, *others = path.split(".")
    value: Any = context[first]
    for name in others:
        value = value.get(name, "")
    assert isinstance(value, str), path
    return value
