"""What a scenario comes to: a few numbers, each the median of several runs that differ in luck."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from .costs import Measured
from .scenario import Scenario
from .world import Outcome, simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What a fleet cannot choose: the dice, and when one of the Hub's windows begins, in seconds after its start."""

    seed: int
    phase: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Medians. Times are seconds since the fleet began; None: that was never reached.

    requests: to the Hub, without those to its CDN. refused: of them. gets: of the store.
    gave_up: workers, and gave_up_least and gave_up_most of them in any run. busiest: requests to the Hub in one second
    after the first minute, when those come back that were sent away.
    """

    workers: float
    requests: float
    refused: float
    hub_bytes: float
    gets: float
    store_bytes: float
    gave_up: float
    gave_up_least: float
    gave_up_most: float
    half_warm: float | None
    all_warm: float | None
    last_warm: float | None
    busiest: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def lucks(count: int, *, seed: int, window: float) -> list[Luck]:
    """As many, with windows that begin evenly spread over the time of one."""
    return [Luck(seed=seed + number, phase=window * (number + 0.5) / count) for number in range(count)]


def answer(scenario: Scenario, measured: Measured, runs: Sequence[Luck]) -> Answer:
    """Where nobody is refused although all start in one window, windows make no difference, and one run says all."""
    *others, last = runs  # its window began before the fleet did, and is the longest
    outcomes = [simulate(scenario, measured, seed=last.seed, phase=last.phase)]
    if outcomes[0].hub.refused or scenario.spread > last.phase:
        outcomes += [simulate(scenario, measured, seed=luck.seed, phase=luck.phase) for luck in others]
    return answer_of(outcomes, after=scenario.spread)


def answer_of(outcomes: Sequence[Outcome], *, after: float) -> Answer:
    """after: seconds until the last machine has started."""
    gave_up = [outcome.workers - len(outcome.warm) for outcome in outcomes]
    return Answer(
        workers=outcomes[0].workers,
        requests=median(outcome.hub.api + outcome.hub.resolve for outcome in outcomes),
        refused=median(outcome.hub.refused for outcome in outcomes),
        hub_bytes=median(outcome.hub.bytes for outcome in outcomes),
        gets=median(outcome.store.gets for outcome in outcomes),
        store_bytes=median(outcome.store.bytes for outcome in outcomes),
        gave_up=median(gave_up),
        gave_up_least=min(gave_up),
        gave_up_most=max(gave_up),
        half_warm=_reached(median(outcome.warm_at(0.5) for outcome in outcomes)),
        all_warm=_reached(median(outcome.warm_at(1.0) for outcome in outcomes)),
        last_warm=_reached(median(outcome.warm[-1] if outcome.warm else math.inf for outcome in outcomes)),
        busiest=median(_busiest(outcome, after) for outcome in outcomes),
    )


def first_refusal(scenario: Scenario, measured: Measured) -> int:
    """Machines of the smallest fleet of which one is refused, all of whose requests fall into one window.

    Looked for around what arithmetic says. Bytes are left out: they come after the requests.
    """
    costs = replace(measured.models[scenario.model], original=0, entry=0, record=0)
    weightless = replace(measured, models={scenario.model: costs})

    def refuses(machines: int) -> bool:
        outcome = simulate(replace(scenario, machines=machines), weightless, seed=0, phase=0.0)
        return outcome.hub.refused + outcome.store.refused > 0

    none, step = expected_grant(scenario, measured), 1
    if refuses(none):
        while refuses(max(1, none - step)):
            step *= 2
        none, some = none - step, none - step // 2
    else:
        while not refuses(none + step):
            step *= 2
        none, some = none + step // 2, none + step
    while some - none > 1:
        middle = (none + some) // 2
        none, some = (none, middle) if refuses(middle) else (middle, some)
    return some


def expected_grant(scenario: Scenario, measured: Measured) -> int:
    """Machines that are granted all that they ask for in one window, by arithmetic, where addresses fill up evenly."""
    if scenario.way == "store":
        return int(scenario.store.gets * scenario.spread / measured.gets)
    asked = measured.requests["pinned" if scenario.pinned else "branch"]
    plan, left = scenario.plan, 1.0 - scenario.strangers
    holders = (scenario.addresses or 1) if plan.shared_by == "address" else 1
    by_bucket = [(plan.api, asked.api), (plan.resolvers, asked.resolve)]
    return holders * min(math.floor(limit * left / count + 1e-9) for limit, count in by_bucket if count)


def _busiest(outcome: Outcome, after: float) -> int:
    return max((count for second, count in outcome.hub.by_second.items() if second > after), default=0)


def _reached(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 2)
