"""Forked processes that are watched: each has a deadline, tells marks on its way, and may be killed at any instant.

A process that does not end in time is killed, and its end is `hung`: a violation for whoever waits for it.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

DEADLINE = 60.0
"""Seconds after which a child that is not told otherwise has hung."""

_PLACE = "raised_at"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

Tell = Callable[[str], None]
"""Given to the work of a child: tells the parent a mark, a word without a line end, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended. value: what its work gave back, or the error that it raised. marks: with their times."""

    how: Literal["done", "raised", "killed", "hung"]
    value: Any
    marks: tuple[tuple[float, str], ...]
    seconds: float

    @property
    def last_mark(self) -> str | None:
        return self.marks[-1][1] if self.marks else None

    def __str__(self) -> str:
        if self.how == "raised":
            return f"raised {type(self.value).__name__}: {self.value}{_place_of(self.value)}"
        return self.how if self.how != "hung" else f"hung: not ended after {self.seconds:.1f} s"


class Child:
    """A forked process that does `work(tell)`. Whoever starts one ends it, with `end` or `kill`."""

    def __init__(self, work: Callable[[Tell], Any], *, seconds: float = DEADLINE) -> None:
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        self._marks: list[tuple[float, str]] = []
        self._answer = b""
        marks, mark_end = os.pipe()
        answer, answer_end = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            _be_a_child(work, parent, mark_end, answer_end)
        os.close(mark_end)
        os.close(answer_end)
        self._open = {marks, answer}
        self._mark_pipe, self._unread = marks, b""

    def wait_for(self, mark: str) -> bool:
        """Wait until the child tells `mark`; False where it ended, or hung, without."""
        while self._open and time.monotonic() < self._deadline:
            if any(told == mark for _, told in self._marks):
                return True
            self._listen(self._deadline - time.monotonic())
        return any(told == mark for _, told in self._marks)

    def kill(self) -> Ended:
        """SIGKILL, now. It may have ended before."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.end()

    def end(self) -> Ended:
        """Wait until it has ended; kill it at its deadline."""
        hung = False
        while self._open:
            left = self._deadline - time.monotonic()
            if self._listen(max(left, 0.05)) or left > 0:
                continue
            if hung:  # killed, and somebody that it started holds the pipes
                self._close()
            hung = True
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self._began
        if not self._answer or hung:
            return Ended(how="hung" if hung else "killed", value=None, marks=tuple(self._marks), seconds=seconds)
        good, value = _unpickled(self._answer)
        return Ended(how="done" if good else "raised", value=value, marks=tuple(self._marks), seconds=seconds)

    def _listen(self, seconds: float) -> bool:
        """Whether anything was heard."""
        ready = select.select(list(self._open), [], [], seconds)[0]
        for pipe in ready:
            data = os.read(pipe, 1 << 16)
            if not data:
                os.close(pipe)
                self._open.remove(pipe)
            elif pipe == self._mark_pipe:
                *lines, self._unread = (self._unread + data).split(b"\n")
                for line in lines:
                    at, _, mark = line.decode().partition(" ")
                    self._marks.append((float(at), mark))
            else:
                self._answer += data
        return bool(ready)

    def _close(self) -> None:
        for pipe in self._open:
            os.close(pipe)
        self._open.clear()


def in_a_child(work: Callable[[Tell], Any], *, seconds: float = DEADLINE) -> Ended:
    """How `work` ended in a process of its own."""
    return Child(work, seconds=seconds).end()


def many(works: Iterable[Callable[[Tell], Any]], *, at_once: int, seconds: float = DEADLINE) -> Iterator[Ended]:
    """How each of many ended, in their order, a few at the same time."""
    running: deque[Child] = deque()
    for work in works:
        if len(running) == at_once:
            yield running.popleft().end()
        running.append(Child(work, seconds=seconds))
    while running:
        yield running.popleft().end()


def die_with_parent(parent: int) -> None:
    """Where the system can: a child that its parent forgot, because that was killed, ends too."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _be_a_child(work: Callable[[Tell], Any], parent: int, marks: int, answer: int) -> None:
    """Never gives back."""
    try:
        die_with_parent(parent)

        def tell(mark: str) -> None:
            os.write(marks, f"{time.monotonic():.6f} {mark}\n".encode())

        try:
            result = pickle.dumps((True, work(tell)))
        except BaseException as error:  # noqa: BLE001  whatever it is, the parent judges it
            result = _pickled_error(error)
        _write_all(answer, result)
    finally:
        os._exit(0)


def _place_of(error: object) -> str:
    """The last lines of an error that nobody raised on purpose."""
    place = getattr(error, _PLACE, "")
    return f" ({place})" if place else ""


def _pickled_error(error: BaseException) -> bytes:
    lines = traceback.extract_tb(error.__traceback__)[-3:]
    error.__traceback__ = None
    with suppress(Exception):
        if not type(error).__module__.startswith("depthhub"):
            setattr(error, _PLACE, ", ".join(f"{Path(at.filename).name}:{at.lineno}" for at in reversed(lines)))
        data = pickle.dumps((False, error))
        pickle.loads(data)
        return data
    return pickle.dumps((False, RuntimeError("".join(traceback.format_exception(error)))))


def _unpickled(answer: bytes) -> tuple[bool, Any]:
    try:
        good, value = pickle.loads(answer)
    except Exception as error:  # noqa: BLE001  it was killed while it wrote
        return False, error
    return bool(good), value


def _write_all(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]
