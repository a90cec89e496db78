"""What may hang, done by a thread of its own: whoever waits for it waits within limits, whatever the protocol does.

Timeouts of network libraries are not uniform: some have none, none bounds the time that a name takes to be resolved,
and a folder that is mounted over a network can hang in any call. So the limits are kept here. A thread that is left
behind ends when its call comes back; it keeps no process alive, and what it still brings is taken by nobody.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

from ..errors import DepthHubError
from .place import NotThere, Place, TakenMeanwhile, Trouble
from .reasons import reason_of

Item = TypeVar("Item")

_AHEAD = 2  # items that may wait to be taken
_SLICE = 1.0  # on Windows nothing interrupts the wait for a lock
_GRACE = 1.0  # for a connection to be closed


class Limits(NamedTuple):
    """The longest waits, in seconds: for a connection, without anything coming, and for the whole."""

    connect: float
    stall: float
    total: float


class Errands:
    """A thread that opens a place and does one errand after the other there, until the context ends."""

    def __init__(self, open_place: Callable[[], Place], limits: Limits) -> None:
        self._open_place = open_place
        self._place: Place | None = None
        self._limits = limits
        self._end = time.monotonic() + limits.total
        self._errands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_late = False
        self._thread = threading.Thread(target=self._work, name="depthhub-remote", daemon=True)

    def __enter__(self) -> Errands:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._errands.put(None)
        if not self._is_late:
            self._thread.join(_GRACE)

    def each(self, errand: Callable[[Place], Iterator[Item]]) -> Iterator[Item]:
        """What the errand gives, as it comes. Raises what the place raises, and Trouble at the limits."""
        hand: _Hand[Item] = _Hand()

        def items() -> Iterator[Item]:
            yield from errand(self._opened())

        self._errands.put(lambda: hand.fill(items()))
        patience = self._limits.connect + self._limits.stall
        try:
            while (item := self._next(hand, patience)) is not None:
                yield item[0]
                patience = self._limits.stall
        finally:
            hand.leave()

    def ask(self, errand: Callable[[Place], Item]) -> Item:
        """The one thing that the errand gives."""

        def once(place: Place) -> Iterator[Item]:
            yield errand(place)

        [answer] = self.each(once)
        return answer

    def _next(self, hand: _Hand[Item], patience: float) -> tuple[Item] | None:
        stalled = time.monotonic() + patience
        while True:
            now = time.monotonic()
            if now >= self._end:
                raise self._late("TOTAL", f"it was not done after {self._limits.total:g} s")
            if now >= stalled:
                raise self._late("STALL", f"nothing came for {patience:g} s")
            with suppress(queue.Empty):
                return hand.take(min(_SLICE, stalled - now, self._end - now))

    def _late(self, limit: str, found: str) -> Trouble:
        self._is_late = True
        return Trouble(found, f"DEPTHHUB_{limit}_TIMEOUT=SECONDS changes the limit.")

    # in the thread

    def _work(self) -> None:
        while (errand := self._errands.get()) is not None:
            errand()
        if self._place is not None:
            with suppress(Exception):
                self._place.close()

    def _opened(self) -> Place:
        self._place = self._place or self._open_place()
        return self._place


class _Hand(Generic[Item]):
    """From the thread to who waits: items, and in the end None or what went wrong. A few may wait to be taken."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Item] | Exception | None] = queue.Queue(_AHEAD)
        self._is_left = False

    def fill(self, items: Iterator[Item]) -> None:
        """Hand over everything, until nobody wants it any more."""
        end: Exception | None = None
        try:
            with closing(items):  # type: ignore[type-var]  # a generator, which cleans up after itself
                for item in items:
                    self._queue.put((item,))
                    if self._is_left:
                        break
        except Exception as error:  # noqa: BLE001  whatever it is, it is told to who waits
            end = _told(error)
        self._queue.put(end)

    def take(self, seconds: float) -> tuple[Item] | None:
        """The next one; None at the end. Raises queue.Empty where none came, and what went wrong."""
        found = self._queue.get(timeout=seconds)
        if isinstance(found, Exception):
            try:
                raise found
            finally:
                del found  # it and this frame would hold each other, and what the callers make after it: a model
        return found

    def leave(self) -> None:
        """Nobody takes any more: who waits for room goes on, sees it, and stops."""
        self._is_left = True
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()


def _told(error: Exception) -> Exception:
    """What may leave the thread: all else may hold secrets in its text, its cause or its traceback."""
    if not isinstance(error, DepthHubError | NotThere | TakenMeanwhile | Trouble):
        return Trouble(reason_of(error))
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
