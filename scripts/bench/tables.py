"""Tables, figures and how numbers are written in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text; the first column is what the row is about."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows))]
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure to reach: `found` should be at most `limit`. wanted, measured: the same two in words."""

    what: str
    wanted: str
    measured: str
    found: float
    limit: float

    @property
    def met(self) -> bool:
        return self.found <= self.limit

    @property
    def verdict(self) -> str:
        if self.met:
            return "met"
        percent = (self.found / self.limit - 1) * 100
        return f"missed by {percent:,.{0 if percent >= 10 else 1}f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A section of the report. plots: file names beside it; notes: a sentence each."""

    title: str
    tables: Sequence[Table]
    figures: Sequence[Figure] = ()
    plots: Sequence[Path] = ()
    notes: Sequence[str] = field(default=())


def duration(seconds: float) -> str:
    """In ms below a second."""
    return f"{seconds:,.2f} s" if abs(seconds) >= 1 else f"{seconds * 1e3:,.{1 if abs(seconds) >= 1e-3 else 2}f} ms"


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"


def times(ratio: float) -> str:
    return f"{ratio:,.{2 if ratio < 10 else 0}f} x"


def spread(series: Series, *names: str) -> str:
    """The median, and from the least to the most."""
    low, high = series.range(*names)
    found, few = duration(series.median(*names)), duration(low)
    if len(series.runs) == 1:
        return found
    most = duration(high)
    return f"{found} ({few.partition(' ')[0] if few[-2:] == most[-2:] else few} .. {most})"
