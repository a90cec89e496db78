"""So many requests in so much time, counted in fixed windows: the Hub's limits, and those of a shared store."""

from __future__ import annotations

import math

_ROUNDING = 1e-9
"""Of a window, below which two times are the same: who waits until a window begins comes in it, not just before."""


class FixedWindow:
    """`limit` requests in each window of `seconds`; math.inf: any number. phase: when one of the windows begins."""

    def __init__(self, limit: float, seconds: float, *, phase: float = 0.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self.granted: dict[int, int] = {}
        self._phase = phase

    def take(self, now: float) -> float | None:
        """One request: None if it is within the limit, else the seconds until the next window begins."""
        place = (now - self._phase) / self.seconds + _ROUNDING
        window = math.floor(place)
        taken = self.granted.get(window, 0)
        if taken < self.limit:
            self.granted[window] = taken + 1
            return None
        return (window + 1 - place + _ROUNDING) * self.seconds
