"""What a trial did, how often, and what went against a promise: a table in Markdown."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

_SHOWN = 20


@dataclass(slots=True)
class Row:
    """One kind of thing that was done. violations: a sentence each."""

    count: int = 0
    violations: list[str] = field(default_factory=list)


class Report:
    """Filled by a trial, printed by `__main__`. A trial that broke nothing and did nothing has a violation too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self.notes: list[str] = []
        self._began = time.monotonic()
        self._seconds: float | None = None

    def did(self, what: str, count: int = 1) -> None:
        """`what` was done `count` more times. Rows come in the order of their first mention; 0 makes one."""
        self._row(what).count += count

    def violated(self, what: str, detail: str) -> None:
        """Something that was done under `what` went against a promise; `detail` says what, and on what."""
        self._row(what).violations.append(detail)

    def require(self, what: str, *, at_least: int = 1) -> None:
        """It is a violation that `what` was not done so often: nothing was shown then."""
        if self.done(what) < at_least:
            self.violated(what, f"done only {self.done(what)} times, at least {at_least} were needed to show anything")

    def note(self, text: str) -> None:
        """A fact for the reader below the table: a time that was measured, a part that could not run here and why."""
        self.notes.append(text)

    def done(self, what: str) -> int:
        return self.rows[what].count if what in self.rows else 0

    def end(self) -> None:
        """The time that it took is over."""
        self._seconds = time.monotonic() - self._began

    @property
    def violations(self) -> int:
        return sum(len(row.violations) for row in self.rows.values())

    @property
    def failed(self) -> bool:
        return self.violations > 0 or not any(row.count for row in self.rows.values())

    def text(self, *, title: str, facts: dict[str, str]) -> str:
        """The table, what was found in words, and the facts that one needs to judge or repeat it."""
        seconds = time.monotonic() - self._began if self._seconds is None else self._seconds
        width = max([len(what) for what in self.rows] + [len("what was done")])
        lines = [f"### {title}", "", f"| {'what was done':{width}} | {'count':>9} | violations |"]
        lines.append(f"|{'-' * (width + 2)}|{'-' * 10}:|{'-' * 11}:|")
        for what, row in self.rows.items():
            lines.append(f"| {what:{width}} | {row.count:>9,} | {len(row.violations):>10,} |")
        lines.append("")
        lines += [f"- {note}" for note in self.notes]
        lines += [f"- {name}: {fact}" for name, fact in {**facts, "duration": f"{seconds:,.1f} s"}.items()]
        lines.append(f"- result: {self._verdict()}")
        for what, row in self.rows.items():
            lines += [f"  VIOLATION {what}: {detail}" for detail in row.violations[:_SHOWN]]
            if len(row.violations) > _SHOWN:
                lines.append(f"  VIOLATION {what}: and {len(row.violations) - _SHOWN:,} more")
        return "\n".join(lines) + "\n"

    def _verdict(self) -> str:
        if self.violations:
            return f"{self.violations:,} violations"
        return "nothing was done, so nothing was shown" if self.failed else "no violation"

    def _row(self, what: str) -> Row:
        return self.rows.setdefault(what, Row())
