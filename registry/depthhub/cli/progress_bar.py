"""Progress of a long call: a bar on a terminal, lines in a log, nothing when nobody wants it.

tqdm comes with the Hub's client; it is imported when the first bar is drawn, so a call that finds everything in
the cache never pays for it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from ..progress import Progress
from .output import bytes_text, printable

_SHORT = 30
_LINE_SECONDS = 10.0
"""A log gets a line this often: CI services end a job that is silent for minutes."""


class Indicator:
    """Shows nothing. `report` is the callback that the library calls, from any thread; leaving the context takes the
    bar away.
    """

    def report(self, progress: Progress) -> None:
        """One step of a long call, bytes done of bytes in all."""

    def finished(self, source: str) -> None:
        """Of this source there is no more to tell."""

    def count(self, done: int, total: int, what: str) -> None:
        """One step of a loop over files: `done` of `total` finished, `what` is next."""

    def close(self) -> None:
        """Take away what is drawn."""

    def __enter__(self) -> Indicator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Bar(Indicator):
    """One bar: of what is being done, and the bytes of all that are on their way. A new stage makes a new one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bar: Any = None
        self._of: tuple[str, ...] = ()
        self._now: dict[str, Progress] = {}

    def report(self, progress: Progress) -> None:
        with self._lock:
            self._now[progress.source] = progress
            self._show()

    def finished(self, source: str) -> None:
        with self._lock:
            self._now.pop(source, None)

    def _show(self) -> None:
        under_way = list(self._now.values())
        text = ", ".join(f"{_short(one.source)}: {one.stage}" for one in under_way)
        details = [one.detail for one in under_way if one.detail]
        if details:
            text += f" ({details[0]})"
        moving = [one for one in under_way if not one.detail and (one.done > 0 or one.total is not None)]
        known = all(one.total is not None for one in moving)
        total = sum(one.total or 0 for one in moving) if known else None
        of = (text, str(bool(moving)))
        self._draw(of, printable(text), sum(one.done for one in moving), total, bool(moving))

    def count(self, done: int, total: int, what: str) -> None:
        with self._lock:
            self._draw(("count",), printable(what), done, total, measured=True, unit="file")

    def close(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _draw(
        self, of: tuple[str, ...], text: str, done: int, total: int | None, measured: bool, unit: str = "B"
    ) -> None:
        if of != self._of or self._bar is None:
            self.close()
            self._of = of
            self._bar = _new_bar(text, done, total, measured, unit)
        bar = self._bar
        bar.total = total
        bar.set_description_str(text, refresh=False)
        bar.update(done - bar.n)  # backwards, too: a transfer that starts anew after a bad resume


class Lines(Indicator):
    """A line when a source begins a stage, and one every few seconds of a long stage."""

    def __init__(self, note: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._note = note
        self._clock = clock
        self._lock = threading.RLock()
        self._stages: dict[str, _Stage] = {}

    def report(self, progress: Progress) -> None:
        with self._lock:
            now, stage = self._clock(), self._stages.get(progress.source)
            if stage is None or stage.of != (progress.stage, progress.detail):
                began = _Stage((progress.stage, progress.detail), now, progress.done, now)
                self._stages[progress.source] = began
                self._note(_opening(progress))
            elif now - stage.said_at >= _LINE_SECONDS:
                speed = int((progress.done - stage.done) / (now - stage.began))
                self._stages[progress.source] = stage._replace(said_at=now)
                self._note(f"{_opening(progress)}: {_share(progress)}, {bytes_text(max(speed, 0))}/s")

    def finished(self, source: str) -> None:
        with self._lock:
            self._stages.pop(source, None)

    def count(self, done: int, total: int, what: str) -> None:
        if what:
            self._note(f"[{done + 1}/{total}] {what}")


class _Stage(NamedTuple):
    """What a source is at, since when, from which byte on, and when a line last told of it."""

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


def _new_bar(text: str, done: int, total: int | None, measured: bool, unit: str) -> Any:
    from tqdm import tqdm  # type: ignore[import-untyped]

    return tqdm(
        desc=text,
        initial=done,  # a resumed transfer: its old bytes are not speed
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
        bar_format=None if measured else "{desc}",
    )
