"""CHANGELOG.md: what it says of a version."""

from __future__ import annotations

import re

from .errors import ReleaseError

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## (?P<version>\S+)(?: - \d{4}-\d{2}-\d{2})?\s*$", re.MULTILINE)


def section_of(text: str, version: str) -> str:
    """What stands under `## VERSION` or `## VERSION - YYYY-MM-DD`. Raises ReleaseError where that is nothing."""
    headings = [*_HEADING.finditer(text)]
    for heading, behind in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] == version:
            section = text[heading.end() : behind.start() if behind else None].strip()
            if section:
                return section
            raise ReleaseError(f"CHANGELOG.md says nothing under {version}.")
    raise ReleaseError(f"CHANGELOG.md has no section `## {version}`. Give what is unreleased that heading.")
