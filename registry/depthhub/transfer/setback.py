"""A try that failed: what the parts of this room tell each other. It never leaves the room."""

from __future__ import annotations

from typing import Literal

Limit = Literal["connect_timeout", "stall_timeout"]


class Setback(Exception):  # noqa: N818 - not an error yet: `Attempts` decides whether it becomes one
    """A try failed, and another may succeed.

    reason: for a message; holds no token and no query of a URL, since queries of a CDN's URLs are signatures.
    limit: the setting that ended the wait. status: what the Hub answered. retry_after: seconds that it asked for.
    hopeless: another try would fail in the same way. advice: what to do about it, where that is special.
    """

    def __init__(
        self,
        reason: str,
        *,
        limit: Limit | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        hopeless: bool = False,
        advice: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.limit = limit
        self.status = status
        self.retry_after = retry_after
        self.hopeless = hopeless
        self.advice = advice
