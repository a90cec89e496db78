"""Bytes on their way, as a fluid: every transfer has its own limit, and shares links fairly with all others on them.

Fair is max-min: nobody can have more without another, who has less, losing some. What happens between two events is
not simulated step by step: transfers over the same links with the same limit have the same rate at every instant, so a
group of them needs one account of the bytes that each of its members was served, and one queue of who is done next.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

import simpy

_CRUMB = 1e-3
"""Bytes below which a transfer is done: what adding up fractions leaves."""


@dataclass(eq=False)
class Link:
    """Something that transfers share. capacity: bytes a second. carried: bytes so far. busiest: most in a second."""

    name: str
    capacity: float
    carried: float = 0.0
    busiest: float = 0.0


@dataclass(eq=False)
class Transfer:
    """Bytes under way. done: happens when all are there. moved: bytes so far, true once it is done or was cut."""

    size: float
    done: simpy.Event
    moved: float = 0.0
    group: _Group | None = None
    begun_at: float = 0.0  # of the group's account

    @property
    def is_under_way(self) -> bool:
        return self.group is not None


@dataclass(eq=False)
class _Group:
    links: tuple[Link, ...]
    limit: float
    served: float = 0.0
    rate: float = 0.0
    members: int = 0
    queue: list[tuple[float, int, Transfer]] = field(default_factory=list)

    def first(self) -> Transfer | None:
        while self.queue and not self.queue[0][2].is_under_way:
            heapq.heappop(self.queue)
        return self.queue[0][2] if self.queue else None


class Network:
    """All transfers of a simulation."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._groups: dict[tuple[tuple[Link, ...], float], _Group] = {}
        self._settled = env.now
        self._alarm = 0
        self._order = count()

    def transfer(self, size: float, *, limit: float, links: Iterable[Link] = ()) -> Transfer:
        """Begin to move `size` bytes over `links`, at most `limit` a second."""
        shared = tuple(link for link in links if link.capacity < math.inf)
        self._settle()
        group = self._groups.setdefault((shared, limit), _Group(shared, limit))
        begun = Transfer(size=size, done=self._env.event(), group=group, begun_at=group.served)
        group.members += 1
        heapq.heappush(group.queue, (group.served + size, next(self._order), begun))
        self._share()
        return begun

    def cut(self, transfer: Transfer) -> float:
        """End it where it is; the bytes that came."""
        if transfer.group is not None:
            self._settle()
            self._leave(transfer, transfer.group.served - transfer.begun_at)
            self._share()
        return transfer.moved

    def _settle(self) -> None:
        """Bring every account up to now."""
        passed, self._settled = self._env.now - self._settled, self._env.now
        if passed <= 0:
            return
        for group in self._groups.values():
            group.served += group.rate * passed
            for link in group.links:
                link.carried += group.rate * group.members * passed

    def _leave(self, transfer: Transfer, moved: float) -> None:
        group = transfer.group
        if group is None:
            raise AssertionError("it has left before")
        transfer.moved, transfer.group = moved, None
        group.members -= 1
        if not group.members:
            del self._groups[group.links, group.limit]

    def _share(self) -> None:
        """Give every group its rate anew, and wake up when the next transfer is done."""
        self._fill()
        soonest = math.inf
        for group in self._groups.values():
            first = group.first()
            if first is not None and group.rate > 0:
                soonest = min(soonest, max(0.0, first.begun_at + first.size - group.served) / group.rate)
        self._alarm += 1
        if soonest < math.inf:
            wake = self._env.timeout(soonest, value=self._alarm)
            wake.callbacks.append(self._awake)

    def _awake(self, event: simpy.Event) -> None:
        if event.value != self._alarm:  # something else happened meanwhile
            return
        self._settle()
        for group in list(self._groups.values()):
            # What is left after so little time that the clock cannot show it is nothing.
            crumb = max(_CRUMB, group.rate * 1e-9)
            while (first := group.first()) is not None and first.begun_at + first.size - group.served <= crumb:
                heapq.heappop(group.queue)
                self._leave(first, first.size)
                first.done.succeed()
        self._share()

    def _fill(self) -> None:
        """Progressive filling: again and again, settle whoever is held back most, by a link or by its own limit."""
        left = {link: link.capacity for group in self._groups.values() for link in group.links}
        crowd = dict.fromkeys(left, 0)
        for group in self._groups.values():
            for link in group.links:
                crowd[link] += group.members
        waiting = list(self._groups.values())
        while waiting:
            levels = [min([group.limit, *(left[link] / crowd[link] for link in group.links)]) for group in waiting]
            level = min(levels)
            held, waiting = waiting, []
            for group, own in zip(held, levels, strict=True):
                if own > level:
                    waiting.append(group)
                    continue
                group.rate = level
                for link in group.links:
                    left[link] = max(0.0, left[link] - level * group.members)
                    crowd[link] -= group.members
        for link, unused in left.items():
            link.busiest = max(link.busiest, link.capacity - unused)
