"""One simulation: the parts of a scenario put together, run to the end, and what became of the fleet."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass

import simpy

from .assumptions import DOWNLINK, LATENCY_SPREAD
from .costs import Costs, Measured, Requests
from .hub_side import HubLedger, HubSide, StoreLedger, StoreSide
from .machine import Cache, Machine, Steps, from_hub, live
from .network import Link, Network
from .patience import Patience
from .scenario import Scenario

_FILLER = -1
"""The number of the job that fills the store, whose dice are its own too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a fleet. Times are seconds since it began.

    warm: when each worker was that got so far, in order. gave_up: how many of the others ended for which limit.
    """

    workers: int
    warm: tuple[float, ...]
    gave_up: Counter[str]
    hub: HubLedger
    store: StoreLedger

    def warm_at(self, share: float) -> float:
        """When that share of all workers was warm; math.inf: never."""
        needed = math.ceil(share * self.workers)
        return self.warm[needed - 1] if needed <= len(self.warm) else math.inf


def simulate(scenario: Scenario, measured: Measured, *, seed: int = 0, phase: float = 0.0) -> Outcome:
    """The same seed and phase give the same outcome. phase: when one of the Hub's windows begins, in seconds."""
    world = World(scenario, measured, seed=seed, phase=phase)
    with world.patience.in_force():
        world.env.run()
    return Outcome(
        workers=len(world.machines),
        warm=tuple(sorted(machine.warm for machine in world.machines if machine.warm is not None)),
        gave_up=Counter(machine.reason for machine in world.machines if machine.failed is not None),
        hub=world.hub.ledger,
        store=world.store.ledger,
    )


class World:
    """What the machines of a scenario find around them."""

    def __init__(self, scenario: Scenario, measured: Measured, *, seed: int, phase: float) -> None:
        self.scenario = scenario
        self.costs: Costs = measured.models[scenario.model]
        self.requests: Requests = measured.requests["pinned" if scenario.pinned else "branch"]
        self.entry_bytes = self.costs.half if scenario.half else self.costs.entry
        self.env = simpy.Environment()
        self.network = Network(self.env)
        self.patience = Patience(scenario.policy.settings, random.Random(seed), spread=scenario.policy.spread)
        addresses = scenario.machines if scenario.addresses is None else scenario.addresses
        self.ways_out = [] if scenario.addresses is None else _links(addresses, scenario.address_bandwidth)
        self.hub = HubSide(
            scenario.plan,
            addresses + 1,  # the last one is that of the job that fills the store
            strangers=scenario.strangers,
            window=scenario.window,
            phase=phase,
            asks=scenario.asks,
        )
        self.store = StoreSide(self.env, scenario.store)
        self.store.has_entry = scenario.filled == "before"
        self.machines: list[Machine] = []
        for number in range(scenario.machines):
            self._add_machine(number, seed)
        if scenario.filled == "at-the-start":
            self.ways_out += _links(1, scenario.address_bandwidth) if self.ways_out else []
            self.env.process(self._fill(Machine(start=0.0, address=addresses, chance=_dice(seed, _FILLER))))

    def latency(self, me: Machine, typical: float) -> float:
        """Of one request: some are faster than the typical one, some slower."""
        return typical * me.chance.uniform(1 - LATENCY_SPREAD, 1 + LATENCY_SPREAD)

    def connection(self, me: Machine) -> float:
        """Bytes a second of a connection to the CDN."""
        shares, speeds = zip(*self.scenario.connection, strict=True)
        return float(speeds[0] if len(speeds) == 1 else me.chance.choices(speeds, shares)[0])

    def limit(self, connection: float, intake: float) -> float:
        """Bytes a second that one transfer can have where it shares nothing."""
        return min(connection, intake, DOWNLINK)

    def _add_machine(self, number: int, seed: int) -> None:
        chance, cache = _dice(seed, number), Cache(lock=simpy.Resource(self.env))
        start = chance.uniform(0.0, self.scenario.spread)
        addresses = self.scenario.addresses
        address = number if addresses is None else chance.randrange(addresses)
        for _ in range(self.scenario.workers):
            worker = Machine(start=start, address=address, chance=chance)
            self.machines.append(worker)
            self.env.process(live(worker, cache, self))

    def _fill(self, job: Machine) -> Steps:
        """A job that starts with the fleet: it makes the entry, and puts its weights and then its record there."""
        yield from from_hub(job, self)
        limit = self.limit(self.store.store.connection, math.inf)
        for size in (self.entry_bytes, self.costs.record):
            self.store.ledger.puts += 1
            yield self.env.timeout(self.latency(job, self.store.store.latency))
            yield self.network.transfer(size, limit=limit).done
        self.store.has_entry = True


def _links(count: int, bandwidth: float) -> list[Link]:
    return [Link(f"address {number}", bandwidth) for number in range(count)]


def _dice(seed: int, number: int) -> random.Random:
    return random.Random(f"{seed}/{number}")
