"""Calls that take turns: before each step that a call takes in the file system, another one may go on.

So what processes do at the same time is tried in any order, step by step: a call is held up until others have ended, or
is killed between two steps (every later one of it fails, those that would tidy up as well), or the system refuses it.
The calls are threads of this process, one of which is at work. The same chance gives the same order.
"""

from __future__ import annotations

import errno
import os
import random
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthhub_cache import exchange

_PATIENCE = 5.0
"""Seconds after which who waits goes on without its turn: whoever has it waits for something that this one holds."""

_CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "renameat2"})
_TOLD = _CHANGES | {"open", "os.listdir", "os.scandir", "os.utime", "os.chmod", "mmap.__new__"}
"""As Python's audit events call them; it tells nothing of the others."""
_NOT_TOLD = ("stat", "lstat", "fstat", "fsync")
_LOOKED_AT = {"open": "weights.safetensors", "os.listdir": "leases", "os.scandir": "leases"}

_REFUSALS = (errno.EIO, errno.EACCES, errno.ENOSPC, errno.EMFILE, errno.ESTALE, errno.EROFS)

_here = threading.local()

At = tuple[int, int]
"""A call, and its how many-th step."""


class Killed(BaseException):
    """Ends a call as a kill would: nobody catches it, and whatever it would do on its way out fails with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """switch: the chance that another call goes on at a step. waits: how many others end first, at a step. refused:
    the chance that the system refuses a step. killed: at which step a call is. few: no step counts but one that
    gives or takes a name, opens weights or lists leases. in_order: of those that may go on it is the first one that
    does, and not any.
    """

    few: bool
    switch: float
    in_order: bool = False
    waits: Mapping[At, int] = field(default_factory=dict)
    refused: float = 0.0
    killed: At | None = None

    def __str__(self) -> str:
        waits = ", ".join(f"{call} at step {step} for {others}" for (call, step), others in sorted(self.waits.items()))
        killed = f"; killed {self.killed}" if self.killed else ""
        which = "few steps" if self.few else "all steps"
        return f"{which}, switched {self.switch}; waiting: {waits or 'none'}; refused {self.refused}{killed}"


@dataclass(slots=True)
class Turns:
    """One run of some calls. ends: what each gave back, or raised. root: only what lies below it is refused."""

    plan: Plan
    chance: random.Random
    root: Path
    ends: list[Any] = field(default_factory=list)
    steps: int = 0
    refusals: int = 0
    held_up: int = 0
    out_of_turn: int = 0
    _at: list[int] = field(default_factory=list)
    _going: set[int] = field(default_factory=set)
    _until: dict[int, int] = field(default_factory=dict)
    _dead: set[int] = field(default_factory=set)
    _turn: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Make the calls; how each ended: what it gave back, or the exception that it raised."""
        self.ends, self._at, self._going = [None] * len(calls), [0] * len(calls), set(range(len(calls)))
        self._turn = self._next()
        threads = [threading.Thread(target=self._make, args=item, daemon=True) for item in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.ends

    def step(self, what: str, place: object) -> None:
        """The call of this thread is about to take a step: it goes on when it is its turn."""
        call = _here.call
        if call in self._dead:
            raise Killed
        if self.plan.few and not _is_one_of_few(what, place):
            return
        with self._changed:
            self.steps += 1
            self._at[call] += 1
            at = (call, self._at[call])
            if at in self.plan.waits:
                self.held_up += 1
                self._until[call] = len(self.ends) - len(self._going) + self.plan.waits[at]
                self._pass_on()
            elif self.chance.random() < self.plan.switch:
                self._pass_on()
            self._wait_for(call)
        if at == self.plan.killed:
            self._dead.add(call)
            raise Killed
        if self.plan.refused and self._may_be_refused(what, place) and self.chance.random() < self.plan.refused:
            self.refusals += 1
            number = self.chance.choice(_REFUSALS)
            raise OSError(number, os.strerror(number), str(place))

    def _make(self, number: int, call: Callable[[], Any]) -> None:
        _here.turns, _here.call = self, number
        try:
            with self._changed:
                self._wait_for(number)
            self.ends[number] = call()
        except BaseException as error:  # noqa: BLE001  whoever made the plan judges it
            self.ends[number] = error
        finally:
            _here.turns = None
            with self._changed:
                self._going.discard(number)
                if self._turn == number:
                    self._pass_on()

    def _wait_for(self, call: int) -> None:
        while self._turn != call:
            if not self._changed.wait(_PATIENCE):
                self.out_of_turn += 1
                self._turn = call

    def _pass_on(self) -> None:
        self._turn = self._next()
        self._changed.notify_all()

    def _next(self) -> int:
        """One of those that are not held up; if all are, one of them."""
        ended = len(self.ends) - len(self._going)
        ready = [call for call in sorted(self._going) if self._until.get(call, 0) <= ended]
        able = ready or sorted(self._going) or [-1]
        return able[0] if self.plan.in_order else self.chance.choice(able)

    def _may_be_refused(self, what: str, place: object) -> bool:
        return what == "fsync" or (isinstance(place, str | os.PathLike) and Path(place).is_relative_to(self.root))


def _is_one_of_few(what: str, place: object) -> bool:
    return what in _CHANGES or (what in _LOOKED_AT and str(place).endswith(_LOOKED_AT[what]))


def watch_steps() -> None:
    """From now on, and for as long as this process lives, the steps of calls that take turns are seen."""

    def told(event: str, args: tuple[Any, ...]) -> None:
        if event in _TOLD:
            _step(event, args[0] if args else None)

    sys.addaudithook(told)
    for name in _NOT_TOLD:
        setattr(os, name, _stepping(name, getattr(os, name)))
    exchange._renameat2 = _stepping("renameat2", exchange._renameat2)


def _stepping(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    def stepping(*args: Any, **options: Any) -> Any:
        _step(name, args[0] if args else None)
        return inner(*args, **options)

    return stepping


def _step(what: str, place: object) -> None:
    turns: Turns | None = getattr(_here, "turns", None)
    if turns is not None:
        turns.step(what, place)
