"""How a machine tries again: by the project's own rule, `depthhub.transfer.attempts`, under the simulation's clock.

The rule is not written down here a second time, so the two cannot part: its limits, its pauses, its jitter, and what it
makes of an answer's headers are what a real call has.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from depthhub.errors import HubError, HubTimeoutError
from depthhub.settings import Settings
from depthhub.transfer import attempts as rule
from depthhub.transfer.attempts import Attempts
from depthhub.transfer.line import Answer
from depthhub.transfer.refusals import refuse
from depthhub.transfer.remote import Asked
from depthhub.transfer.setback import Setback

_ASKED = Asked(
    endpoint="https://hub", repo_id="owner/repo", repo_type="model", revision="0" * 40, filename="w.pth", token=None
)


class Patience:
    """Makes `Attempts` that live in simulated time. spread: in the place of the rule's own."""

    def __init__(self, settings: Settings, chance: random.Random, *, spread: float = rule.SPREAD) -> None:
        self._settings = settings
        self._spread = spread
        self._chance = chance
        self._clock = _Clock()

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """While this lasts, the rule reads the simulation's clock, sleeps in it, and throws the simulation's dice."""
        before = rule.time, rule.random, rule.SPREAD
        rule.time, rule.random, rule.SPREAD = self._clock, self._chance, self._spread  # type: ignore[assignment]
        try:
            yield
        finally:
            rule.time, rule.random, rule.SPREAD = before

    def begin(self, now: float) -> Attempts:
        """The tries for one file, from now on."""
        self._clock.now = now
        return Attempts(_ASKED, self._settings, _nobody)

    def check(self, attempts: Attempts, now: float) -> None:
        """Before each request. Raises HubTimeoutError once total_timeout is over."""
        self._clock.now = now
        attempts.check()

    def pause(self, attempts: Attempts, setback: Setback, now: float) -> float:
        """Seconds to wait before the next try. Raises HubError, or HubTimeoutError, where the rule gives up."""
        self._clock.now, self._clock.slept = now, 0.0
        attempts.recover(setback)
        return self._clock.slept


class _Clock:
    """What the rule sees as the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def refusal(status: int, left: float | None = None) -> Setback:
    """What the project makes of such an answer. left: seconds to wait, which the Hub tells as whole ones."""
    return _refusal(status, None if left is None else math.ceil(left))


@cache
def _refusal(status: int, left: int | None) -> Setback:
    headers = {} if left is None else {"ratelimit": f'"resolvers";r=0;t={left}'}
    try:
        refuse(Answer(status, headers, iter(())), _ASKED)
    except Setback as setback:
        return setback
    raise AssertionError(f"{status} is no reason to try again")


def reason_of(error: HubError) -> str:
    """Which limit ended it, for the tables: the name of the setting, or `tries`."""
    return error.limit if isinstance(error, HubTimeoutError) else "tries"


def _nobody(_: str) -> None:
    pass
