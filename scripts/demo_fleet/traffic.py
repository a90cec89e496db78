"""What a server was asked, and how many bytes that took."""

from __future__ import annotations

from typing import NamedTuple

from depthhub.testing import LocalHub


class Traffic(NamedTuple):
    requests: int = 0
    size: int = 0

    def __add__(self, other: Traffic) -> Traffic:  # type: ignore[override]  # sums, not a longer tuple
        return Traffic(self.requests + other.requests, self.size + other.size)


def traffic_of(hub: LocalHub, checkpoint_size: int) -> Traffic:
    """Since its log was last cleared, which is done here: every file that it sends is a checkpoint of that size."""
    asked = hub.requests
    hub.clear_log()
    starts = [int((request.range or "bytes=0-")[6:-1]) for request in asked if request.host == "cdn"]
    return Traffic(len(asked), sum(checkpoint_size - start for start in starts))
