"""Progress of a long call: a bar on a terminal, lines in a log, nothing when nobody wants it.

tqdm comes with the Hub's client; it is imported when the first bar is drawn, so a call that finds everything in
the cache never pays for it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from ..progress import Progress, Report
from .output import bytes_text, printable

_SHORT = 30
_LINE_SECONDS = 10.0
"""A log gets a line this often: CI services end a job that is silent for minutes."""


class Indicator:
    """Shows nothing. `report` is the callback that the library calls, from any thread; leaving the context takes the
    bar away.
    """

    def expect(self, tasks: int) -> None:
        """So many tasks will be worked on, a few at the same time; not said, it is one."""

    def report(self, progress: Progress) -> None:
        """One step of a long call, bytes done of bytes in all."""
        self._tell(progress.source, progress)

    def report_of(self, task: Hashable) -> Report:
        """The `report` of one of several tasks."""
        return lambda progress: self._tell(task, progress)

    def finished(self, task: Hashable) -> None:
        """Of this task there is no more to tell, however it ended."""

    def count(self, done: int, total: int, what: str) -> None:
        """One step of a loop over files: `done` of `total` finished, `what` is next."""

    def close(self) -> None:
        """Take away what is drawn."""

    def _tell(self, task: Hashable, progress: Progress) -> None:
        pass

    def __enter__(self) -> Indicator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Bar(Indicator):
    """One bar, whatever is under way.

    Of one task it has the stage, and the bytes of that. Of several it has how many are done and what the others are at;
    its bytes are those that all of them bring over the network, the ended ones too, as long as any does, else those of
    the stages.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bar: Any = None
        self._of: tuple[Hashable, ...] = ()
        self._expected = 1
        self._ended = 0
        self._now: dict[Hashable, Progress] = {}
        self._brought: dict[Hashable, Progress] = {}

    def expect(self, tasks: int) -> None:
        self._expected = tasks

    def finished(self, task: Hashable) -> None:
        with self._lock:
            self._ended += 1
            self._now.pop(task, None)
            if (last := self._brought.get(task)) is not None:
                self._brought[task] = last._replace(total=last.done)  # of one that failed, the rest will not come
            if self._now:
                self._show()

    def count(self, done: int, total: int, what: str) -> None:
        with self._lock:
            self._draw(_Shown(("count",), printable(what), done, total, unit="file"))

    def close(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _tell(self, task: Hashable, progress: Progress) -> None:
        with self._lock:
            self._now[task] = progress
            if progress.stage in _TRANSFERS:
                if task not in self._brought and self._bar is not None:
                    self._bar.initial += progress.done  # of an earlier try: its bytes are not speed
                self._brought[task] = progress
            self._show()

    def _show(self) -> None:
        self._draw(self._one() if self._expected == 1 else self._several())

    def _one(self) -> _Shown:
        (progress,) = list(self._now.values())[-1:]
        text = _what(progress) + (f" ({progress.detail})" if progress.detail else "")
        measured = [progress] if _is_measured(progress) else []
        return _Shown.of_bytes((text, bool(measured)), text, measured)

    def _several(self) -> _Shown:
        under_way = list(self._now.values())
        if len(under_way) == 1:
            doing = _what(under_way[0])
        else:
            counts = Counter("waiting" if one.detail else one.stage for one in under_way)
            doing = ", ".join(f"{count} {stage}" for stage, count in counts.items())
        text = f"{self._ended} of {self._expected} done, {doing}"
        if any(one.stage in _TRANSFERS for one in under_way):
            return _Shown.of_bytes(("brought",), text, list(self._brought.values()))
        measured = {task: one for task, one in self._now.items() if _is_measured(one)}
        return _Shown.of_bytes(tuple(measured), text, list(measured.values()))

    def _draw(self, shown: _Shown) -> None:
        if shown.of != self._of or self._bar is None:
            self.close()
            self._of = shown.of
            self._bar = _new_bar(shown)
        bar = self._bar
        bar.total = shown.total
        is_news = bar.desc != shown.text
        bar.set_description_str(shown.text, refresh=False)
        bar.update(shown.done - bar.n)  # backwards, too: a transfer that starts anew after a bad resume
        if is_news:
            bar.refresh()


class _Shown(NamedTuple):
    """What the bar has to show. of: what its bytes are those of; other ones need another bar, with its own speed."""

    of: tuple[Hashable, ...]
    text: str
    done: int
    total: int | None
    measured: bool = True
    unit: str = "B"

    @classmethod
    def of_bytes(cls, of: tuple[Hashable, ...], text: str, parts: Sequence[Progress]) -> _Shown:
        total = None if any(one.total is None for one in parts) else sum(one.total or 0 for one in parts)
        return cls(of, printable(text), sum(one.done for one in parts), total, measured=bool(parts))


_TRANSFERS = frozenset({"fetching", "downloading"})


def _is_measured(progress: Progress) -> bool:
    return not progress.detail and (progress.done > 0 or progress.total is not None)


def _what(progress: Progress) -> str:
    return f"{_short(progress.source)}: {progress.stage}"


class Lines(Indicator):
    """A line when a source begins a stage, and one every few seconds of a long stage."""

    def __init__(self, note: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._note = note
        self._clock = clock
        self._lock = threading.RLock()
        self._stages: dict[Hashable, _Stage] = {}

    def _tell(self, task: Hashable, progress: Progress) -> None:
        with self._lock:
            now, stage = self._clock(), self._stages.get(task)
            if stage is None or stage.of != (progress.stage, progress.detail):
                began = _Stage((progress.stage, progress.detail), now, progress.done, now)
                self._stages[task] = began
                self._note(_opening(progress))
            elif now - stage.said_at >= _LINE_SECONDS:
                speed = int((progress.done - stage.done) / (now - stage.began))
                self._stages[task] = stage._replace(said_at=now)
                self._note(f"{_opening(progress)}: {_share(progress)}, {bytes_text(max(speed, 0))}/s")

    def finished(self, task: Hashable) -> None:
        with self._lock:
            self._stages.pop(task, None)

    def count(self, done: int, total: int, what: str) -> None:
        if what:
            self._note(f"[{done + 1}/{total}] {what}")


class _Stage(NamedTuple):
    """What a task is at, since when, from which byte on, and when a line last told of it."""

    of: tuple[str, str]
    began: float
    done: int
    said_at: float


def indicator(*, quiet: bool, note: Callable[[str], None]) -> Indicator:
    """What fits: nothing when quiet, a bar on a terminal, else lines written with `note`."""
    if quiet:
        return Indicator()
    return Bar() if sys.stderr.isatty() else Lines(note)


def _short(source: str) -> str:
    """The part of a source that leaves room for the bar: of a path or a Hub file, its last name."""
    return source if len(source) <= _SHORT else source.rpartition("/")[2][-_SHORT:]


def _opening(progress: Progress) -> str:
    size = f" {bytes_text(progress.total)}" if progress.total else ""
    detail = f" ({progress.detail})" if progress.detail else ""
    return f"{progress.source}: {progress.stage}{size}{detail}"


def _share(progress: Progress) -> str:
    if not progress.total:
        return f"{bytes_text(progress.done)} so far"
    return f"{bytes_text(progress.done)} done ({progress.done / progress.total:.0%})"


def _new_bar(shown: _Shown) -> Any:
    from tqdm import tqdm  # type: ignore[import-untyped]

    return tqdm(
        desc=shown.text,
        initial=shown.done,  # a resumed transfer: its old bytes are not speed
        total=shown.total,
        unit=shown.unit,
        unit_scale=shown.unit == "B",
        smoothing=0,  # the speed since it was drawn: several transfers jump
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
        bar_format=None if shown.measured else "{desc}",
    )
