"""The story of one cold machine, from its start to a warm cache: what it asks, what it waits for, when it gives up.

It follows `depthhub.loading.ensure_entry`: one of those who share a cache works, the others wait for its lock; the
shared store is asked first, where there is one, and the Hub where that has not got it, or fails.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import simpy

from depthhub.errors import HubError
from depthhub.transfer.attempts import Attempts

from .patience import reason_of, refusal

if TYPE_CHECKING:
    from .world import World

Steps = Generator[simpy.Event, Any, None]


class StoreFailed(Exception):  # noqa: N818 - the way goes on at the Hub
    """The store has not got the entry, or did not give all of it."""


@dataclass(slots=True, kw_only=True)
class Machine:
    """A worker, and what became of it. Times are seconds since the fleet began.

    warm: when it was. failed: when it gave up for good; reason: the setting that ended it, or `tries`.
    """

    start: float
    address: int
    chance: random.Random
    warm: float | None = None
    failed: float | None = None
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Cache:
    """What the workers of one machine share: an entry, or none yet, and the lock under which it is made."""

    lock: simpy.Resource
    is_warm: bool = False


def live(me: Machine, cache: Cache, world: World) -> Steps:
    """From the start to a warm cache, or to the end of all patience."""
    policy, env = world.scenario.policy, world.env
    yield env.timeout(me.start)
    pauses = chain(policy.restarts, repeat(policy.restarts[-1])) if policy.restarts else iter(())
    while True:
        try:
            yield from _ensure_entry(me, cache, world)
        except HubError as error:
            pause = next(pauses, None)
            if pause is None or env.now + pause > me.start + policy.patience:
                me.failed, me.reason = env.now, reason_of(error)
                return
            yield env.timeout(pause)
        else:
            me.warm = env.now
            return


def from_hub(me: Machine, world: World) -> Steps:
    """What a first call does without a shared store: ask, download, check, convert, publish. Raises HubError."""
    counted = world.requests
    for _ in range(counted.api):
        yield from _question(me, world)
    for _ in range(counted.resolve - counted.cdn):  # small files, which the Hub sends itself
        yield from _download(me, 0.0, world)
    for _ in range(counted.cdn):
        yield from _download(me, world.costs.original, world)
    yield world.env.timeout(world.costs.make)


def _ensure_entry(me: Machine, cache: Cache, world: World) -> Steps:
    """The lock of the cache, for as long as a process waits for it; then the work, unless somebody has done it."""
    if cache.is_warm or world.scenario.way == "image":
        return
    if world.scenario.workers == 1:  # nobody else wants the lock
        yield from _make_entry(me, world)
        return
    claim = cache.lock.request()
    try:
        yield claim | world.env.timeout(world.scenario.policy.settings.lock_timeout)
        if not cache.is_warm:  # held or not: after so long a process goes on without the lock
            yield from _make_entry(me, world)
            cache.is_warm = True
    finally:
        if claim.triggered:
            cache.lock.release(claim)
        else:
            claim.cancel()


def _make_entry(me: Machine, world: World) -> Steps:
    if world.scenario.way == "store":
        try:
            yield from _from_store(me, world)
        except StoreFailed:
            pass
        else:
            return
    yield from from_hub(me, world)


def _from_store(me: Machine, world: World) -> Steps:
    """The record, then the weights, within one limit of time. Raises StoreFailed; what had come is lost then."""
    end = world.env.now + world.scenario.policy.settings.total_timeout
    for size in (world.costs.record, world.entry_bytes):
        yield from _object(me, size, end, world)
    yield world.env.timeout(world.costs.place)


def _object(me: Machine, size: float, end: float, world: World) -> Steps:
    """One GET of the store: asked for as often as its client does by itself, then sent, whole or not."""
    side, env = world.store, world.env
    for tries_left in reversed(range(side.store.tries)):
        yield env.timeout(world.latency(me, side.store.latency))
        if side.get():
            break
        if not tries_left:
            raise StoreFailed
        yield env.timeout(me.chance.random())  # botocore's first pause: by chance, up to a second
    if not side.has_entry:
        side.ledger.missed += 1
        raise StoreFailed
    breaks = me.chance.random() < world.scenario.store_failures
    sent = size * me.chance.random() if breaks else size
    moving = world.network.transfer(
        sent, limit=world.limit(side.store.connection, world.costs.entry_intake), links=[side.link]
    )
    yield moving.done | env.timeout(max(0.0, end - env.now))
    world.network.cut(moving)
    side.ledger.bytes += moving.moved
    if breaks:
        side.ledger.broken += 1
    if moving.moved < size:
        raise StoreFailed


def _question(me: Machine, world: World) -> Steps:
    """The list of files of a branch."""
    env, attempts = world.env, world.patience.begin(world.env.now)
    while True:
        world.patience.check(attempts, env.now)
        yield env.timeout(world.latency(me, world.scenario.latency))
        left = world.hub.list_files(me.address, env.now)
        if left is None:
            return
        yield from _wait(attempts, left, world)


def _download(me: Machine, size: float, world: World) -> Steps:
    """One file: the redirect of the Hub, then the bytes of the CDN."""
    env, attempts = world.env, world.patience.begin(world.env.now)
    end = env.now + world.scenario.policy.settings.total_timeout
    while True:
        world.patience.check(attempts, env.now)
        yield env.timeout(world.latency(me, world.scenario.latency))
        left = world.hub.resolve(me.address, env.now)
        if left is None:
            break
        yield from _wait(attempts, left, world)
    if not size:
        return
    ledger = world.hub.ledger
    ledger.cdn += 1
    links = [world.ways_out[me.address]] if world.ways_out else []
    moving = world.network.transfer(size, limit=world.limit(world.connection(me), world.costs.intake), links=links)
    yield moving.done | env.timeout(max(0.0, end - env.now))
    world.network.cut(moving)
    ledger.bytes += moving.moved
    if moving.moved < size:
        world.patience.check(attempts, end)


def _wait(attempts: Attempts, left: float, world: World) -> Steps:
    """After a refusal: for as long as the rule says, or not at all."""
    setback = refusal(429, left if world.scenario.policy.tells else None)
    yield world.env.timeout(world.patience.pause(attempts, setback, world.env.now))
