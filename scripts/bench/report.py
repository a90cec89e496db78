"""The report: what is reached of the figures, a part for each section, and what one needs to judge it. Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from .series import Series
from .tables import Part, Table

BEGIN, END = "<!-- benchmark: scripts/benchmark --update-docs writes this -->", "<!-- end of benchmark -->"


def text_of(parts: Sequence[Part], facts: Mapping[str, str], *, beside: Path | None) -> str:
    """facts: of the run, by name. beside: the folder that the report will be in, from which its plots are linked."""
    figures = [figure for part in parts for figure in part.figures]
    blocks = ["\n".join(f"- {name}: {fact}" for name, fact in facts.items())]
    if figures:
        rows = [(figure.what, figure.wanted, figure.measured, figure.verdict) for figure in figures]
        met = sum(figure.met for figure in figures)
        columns = ("figure", "wanted", "measured", "verdict")
        blocks.append(Table(title=f"{met} of {len(figures)} figures met", columns=columns, rows=rows).text())
    for part in parts:
        blocks += [f"### {part.title}", *(table.text() for table in part.tables)]
        blocks += [f"![{part.title}]({_link(plot, beside)})" for plot in part.plots]
        blocks += part.notes
    return "\n\n".join(block for block in blocks if block) + "\n"


def _link(plot: Path, beside: Path | None) -> str:
    return plot.name if beside is None else plot.relative_to(beside).as_posix()


def results_of(found: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """Everything that was found, as JSON: every run of every kind."""
    return json.dumps({"facts": dict(facts), **{name: _plain(part) for name, part in found.items()}}, indent=1) + "\n"


def _plain(found: Any) -> Any:
    if isinstance(found, Series):
        return [dict(run) for run in found.runs]
    if isinstance(found, Mapping):
        return {str(key): _plain(value) for key, value in found.items()}
    if is_dataclass(found) and not isinstance(found, type):
        return {field.name: _plain(getattr(found, field.name)) for field in fields(found)}
    return found


def put_into(document: str, text: str) -> str:
    """`document`, with what stands between the two marks replaced. ValueError where they are not there once each."""
    before, found, rest = document.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end or BEGIN in rest or END in after:
        raise ValueError(f"it needs the lines {BEGIN} and {END} once each, in this order")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"
