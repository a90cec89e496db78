"""Whether and when to try again, within the limits of the settings. Every wait for the Hub is bounded here."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from ..errors import HubError, HubTimeoutError
from ..settings import Settings
from .remote import Asked
from .setback import Setback

log = logging.getLogger("depthhub")

PATIENCE = 5
"""Tries in a row without one new byte. One that ended in a timeout counts twice, since the user has waited for it."""

SPREAD = 0.25
"""Of a wait that a server asks for, the share that chance adds at most: a whole fleet is told the same instant."""

FIRST_PAUSE = 0.25
_GROWTH = 3.0
_LONGEST_PAUSE = 10.0
_SHORTEST_TIMEOUT = 0.05  # zero means "do not wait", or is refused


class Attempts:
    """The tries for one question to the Hub. `tell` hears a sentence before each pause."""

    def __init__(self, asked: Asked, settings: Settings, tell: Callable[[str], None]) -> None:
        self._asked = asked
        self._settings = settings
        self._tell = tell
        self._end = time.monotonic() + settings.total_timeout
        self._tries = 0
        self._worn = 0

    def timeouts(self) -> tuple[float, float]:
        """Seconds that the next request may take to connect, and may be silent; HubTimeoutError if none are left."""
        self.check()
        left = max(self._end - time.monotonic(), _SHORTEST_TIMEOUT)
        return min(self._settings.connect_timeout, left), min(self._settings.stall_timeout, left)

    def check(self) -> None:
        """Raises HubTimeoutError if the total limit is over: a trickle never stalls and never ends."""
        if time.monotonic() >= self._end:
            raise self._timeout("total_timeout", f"not complete after {self._settings.total_timeout:g} s")

    def progressed(self) -> None:
        """There are new bytes: patience begins anew."""
        self._worn = 0

    def recover(self, setback: Setback) -> None:
        """Wait until the next try. Raises HubError, or HubTimeoutError with the limit, where there is none."""
        self._tries += 1
        pause = self._pause(setback)
        self._worn += 2 if setback.limit else 1
        if setback.hopeless or self._worn >= PATIENCE:
            raise self._failed(setback) from None
        asked_for, allowed = setback.retry_after or 0.0, self._settings.retry_after_limit
        if asked_for > allowed:
            found = f"{setback.reason} and asks to wait {asked_for:g} s, more than the {allowed:g} s that are allowed"
            raise self._timeout("retry_after_limit", found, setback) from None
        if time.monotonic() + pause >= self._end:
            over = f"{self._settings.total_timeout:g} s are over or would be after the next pause"
            raise self._timeout("total_timeout", f"{over}; the last try: {self._words(setback)}", setback) from None
        sentence = f"{self._words(setback)}; trying again in {pause:.1f} s"
        log.info("%s: %s", self._asked, sentence)
        self._tell(sentence)
        time.sleep(pause)

    def _pause(self, setback: Setback) -> float:
        longest = min(FIRST_PAUSE * _GROWTH**self._worn, _LONGEST_PAUSE)
        jittered = longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that a cluster does not come back as one
        return max(jittered, (setback.retry_after or 0.0) * random.uniform(1.0, 1.0 + SPREAD))  # noqa: S311

    def _words(self, setback: Setback) -> str:
        if setback.limit == "connect_timeout":
            return f"{setback.reason}: no connection within {self._settings.connect_timeout:g} s"
        if setback.limit == "stall_timeout":
            return f"{setback.reason}: not a byte for {self._settings.stall_timeout:g} s"
        return setback.reason

    def _failed(self, setback: Setback) -> HubError:
        if setback.limit is not None:
            return self._timeout(setback.limit, self._words(setback), setback)
        advice = setback.advice or (
            "Try again later; if others can reach it, look at the network, the proxy settings and HF_ENDPOINT."
        )
        return HubError(
            f"{self._head} could not be fetched: {setback.reason}{self._times}. {advice}",
            source=self._asked.source,
            status=setback.status,
        )

    def _timeout(self, limit: str, found: str, setback: Setback | None = None) -> HubTimeoutError:
        return HubTimeoutError(
            f"{self._head} could not be fetched: {found}{self._times}. "
            f"The limit is {limit}; DEPTHHUB_{limit.upper()}=SECONDS changes it.",
            source=self._asked.source,
            limit=limit,
            seconds=getattr(self._settings, limit),
            status=setback.status if setback else None,
        )

    @property
    def _head(self) -> str:
        return f"{self._asked} ({self._asked.endpoint})"

    @property
    def _times(self) -> str:
        return f" (tried {self._tries} times)" if self._tries > 1 else ""
