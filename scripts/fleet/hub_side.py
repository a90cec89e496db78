"""The Hub, its CDN and a shared store, as a fleet sees them: they count, refuse and send."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import simpy

from .assumptions import Plan, Store
from .network import Link
from .quota import FixedWindow


@dataclass(slots=True)
class HubLedger:
    """What the Hub and its CDN were asked: requests by kind, those that were refused (429), and the bytes they sent.

    by_second: requests to the Hub, without the CDN's, in each second since the fleet began.
    """

    api: int = 0
    resolve: int = 0
    cdn: int = 0
    refused: int = 0
    bytes: float = 0.0
    by_second: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class StoreLedger:
    """What a shared store was asked.

    refused: 503 for too many at once; broken: transfers that ended halfway; missed: not there.
    """

    gets: int = 0
    puts: int = 0
    refused: int = 0
    broken: int = 0
    missed: int = 0
    bytes: float = 0.0


class HubSide:
    """The Hub: one pair of limits for each address that asks without a token, or one for all with an account's.

    asks: seconds that every refusal asks to wait; None: what is left of the window.
    """

    def __init__(
        self, plan: Plan, addresses: int, *, strangers: float, window: float, phase: float, asks: float | None
    ) -> None:
        self.ledger = HubLedger()
        holders = addresses if plan.shared_by == "address" else 1
        left = 1.0 - strangers
        self._api = [FixedWindow(_share(plan.api, left), window, phase=phase) for _ in range(holders)]
        self._resolvers = [FixedWindow(_share(plan.resolvers, left), window, phase=phase) for _ in range(holders)]
        self._asks = asks

    def list_files(self, address: int, now: float) -> float | None:
        """One API request: None, or the seconds that its refusal asks to wait."""
        self.ledger.api += 1
        return self._take(self._api, address, now)

    def resolve(self, address: int, now: float) -> float | None:
        """The address of a file's bytes: None, or the seconds that its refusal asks to wait."""
        self.ledger.resolve += 1
        return self._take(self._resolvers, address, now)

    def _take(self, windows: list[FixedWindow], address: int, now: float) -> float | None:
        self.ledger.by_second[int(now)] += 1
        left = windows[address % len(windows)].take(now)
        if left is None:
            return None
        self.ledger.refused += 1
        return left if self._asks is None else self._asks


class StoreSide:
    """A shared store: whether the entry is there, its limit of requests, and the link that all transfers share."""

    def __init__(self, env: simpy.Environment, store: Store) -> None:
        self.ledger = StoreLedger()
        self.store = store
        self.link = Link(store.name, store.bandwidth)
        self.has_entry = False
        self._second = FixedWindow(store.gets, 1.0)
        self._env = env

    def get(self) -> bool:
        """One request: whether it is within the limit."""
        self.ledger.gets += 1
        if self._second.take(self._env.now) is None:
            return True
        self.ledger.refused += 1
        return False


def _share(limit: float, left: float) -> float:
    return limit if math.isinf(limit) else math.floor(limit * left + 1e-9)
