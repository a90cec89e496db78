"""The findings for people, in Markdown, and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .findings import Finding, Kind

_TITLES: Mapping[Kind, tuple[str, str]] = {
    "broken": ("Cannot be had any more", "Whoever asks for these by name fails, or soon will."),
    "refuted": ("Hints that are wrong", "The Hub's answer is a hint again, until a second source states it."),
    "licence": ("Licences that differ", "A person has to decide; of several, the catalog states the strictest."),
    "moved": ("Newer files", "The pin holds. Whether the newer file is wanted is for a person to decide."),
    "confirmed": ("Hints that can become pins", "`scripts/catalog-check --write` puts these lines into the catalog."),
    "stated": ("Values that the catalog leaves out", "The Hub alone states them: a hint, until a second source does."),
    "unknown": ("Not known", "The Hub did not answer, or has nothing to answer with."),
}


def as_markdown(found: Sequence[Finding], checked: int) -> str:
    lines = ["# The catalog, and the Hub as it is now", "", _counts(found, checked), ""]
    for kind, (title, meaning) in _TITLES.items():
        if of_kind := [finding for finding in found if finding.kind == kind]:
            lines += [f"## {title}", "", meaning, ""]
            for finding in of_kind:
                lines += [f"- `{finding.name}`: {_quoted(finding)}", *_catalog_lines(finding)]
            lines.append("")
    return "\n".join(lines)


def as_json(found: Sequence[Finding], checked: int) -> str:
    data: dict[str, Any] = {"checked": checked, "findings": [finding._asdict() for finding in found]}
    return json.dumps(data, indent=2) + "\n"


def _counts(found: Sequence[Finding], checked: int) -> str:
    fine = checked - len({finding.name for finding in found})
    told = (f"{title.lower()}: {sum(one.kind == kind for one in found)}" for kind, (title, _) in _TITLES.items())
    return (
        f"{checked} checkpoints, {fine} as the catalog says"
        + "".join(f"; {text}" for text in told if not text.endswith(": 0"))
        + "."
    )


def _quoted(finding: Finding) -> str:
    """What a server said may be in it: no mention of a person, no markup."""
    return finding.what if finding.kind not in ("broken", "unknown") else f"`{finding.what.replace('`', chr(39))}`"


def _catalog_lines(finding: Finding) -> Iterator[str]:
    if finding.fields:
        yield "  ```json"
        yield from (f"  {line}" for line in field_lines(finding.fields))
        yield "  ```"


def field_lines(fields: Mapping[str, str | int]) -> list[str]:
    """As they stand in a catalog."""
    return [f"{json.dumps(name)}: {json.dumps(value)}," for name, value in fields.items()]
