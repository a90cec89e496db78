"""What is asked of the simulation, study by study. What is found is plain data that survives JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .answers import Answer, answer, expected_grant, first_refusal, lucks
from .assumptions import OWN_SERVER, PLANS, WINDOW, Plan, Store
from .costs import Measured
from .scenario import POLICIES, SETTINGS, VARIANTS, WAITS, Policy, Scenario
from .world import Outcome, simulate

STARTS = (60.0, 300.0, 600.0, 900.0, 1200.0)
SPREADS = (0.0, 0.1, 0.25, 0.5, 1.0)
CURVES = ("image", "store-half", "store", "hub", "hub-10", "hub-1", "store-late")
RETURNS = ("waits-as-one", "waits")

_ONE_MIRROR = Plan("a mirror that answers 500 requests a second", 500, 500, "account")
_ASKS = 10.0
_POINTS = 200
"""Points of a curve."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is asked.

    machines: sizes of fleets; the largest is that of the studies of one size. runs: of each, where windows make the
    difference. reach: machines beyond which no first refusal is looked for.
    """

    machines: Sequence[int]
    models: Sequence[str]
    runs: int
    reach: int
    seed: int = 0

    @property
    def largest(self) -> int:
        return max(self.machines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found, by study, under the names of what was asked: by row, and by column where there are such.

    ways: model, way, machines. policies, starts: model `vits` or the first. jitter: how far the rule spreads a wait.
    limits: settings that a large fleet meets. refusals: the smallest fleet of which one is refused.
    curves: of each way, (seconds, share that is warm). returns: of each policy, (second, requests).
    """

    largest: int
    runs: int
    ways: Mapping[str, Mapping[str, Mapping[str, Answer]]]
    policies: Mapping[str, Answer]
    starts: Mapping[str, Answer]
    jitter: Mapping[str, Mapping[str, Answer]]
    limits: Mapping[str, Answer]
    refusals: Mapping[str, int]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    returns: Mapping[str, Sequence[tuple[int, int]]]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """What `dataclasses.asdict` and JSON made of it, as it was."""
        return cls(
            largest=data["largest"],
            runs=data["runs"],
            ways={
                model: {way: _answers(by_machines) for way, by_machines in ways.items()}
                for model, ways in data["ways"].items()
            },
            policies=_answers(data["policies"]),
            starts=_answers(data["starts"]),
            jitter={row: _answers(columns) for row, columns in data["jitter"].items()},
            limits=_answers(data["limits"]),
            refusals=data["refusals"],
            curves={name: [(x, y) for x, y in points] for name, points in data["curves"].items()},
            returns={name: [(x, y) for x, y in points] for name, points in data["returns"].items()},
        )


def study(size: Size, measured: Measured, say: Say | None = None) -> Found:
    """Everything, at that size."""
    tell = say or (lambda words: print(words, file=sys.stderr, flush=True))
    runs = lucks(size.runs, seed=size.seed, window=WINDOW)
    small, large, middle = size.models[0], size.models[-1], runs[len(runs) // 2]

    def ask(scenario: Scenario) -> Answer:
        return answer(scenario, measured, runs)

    def ask_once(scenario: Scenario) -> Answer:
        return answer(scenario, measured, [middle])

    ways: dict[str, dict[str, dict[str, Answer]]] = {}
    for model in size.models:
        for name, variant in VARIANTS.items():
            tell(f"{model}: {variant.words}")
            by_machines = {str(count): ask(variant.scenario(count, model)) for count in size.machines}
            ways.setdefault(model, {})[name] = by_machines
    one_address = VARIANTS["hub-1"].scenario(size.largest, small)
    tell("how a machine tries again")
    policies = {name: ask(replace(one_address, policy=policy)) for name, (_, policy) in POLICIES.items()}
    starts = {f"{seconds:g}": ask(replace(one_address, spread=seconds)) for seconds in STARTS}
    jitter = {f"{spread:g}": _jitter(spread, one_address, ask_once) for spread in SPREADS}
    tell("limits that a large fleet meets")
    limits = {name: ask_once(scenario) for name, (_, scenario) in limit_scenarios(size.largest, large).items()}
    tell("where the first refusal comes")
    refusals = {
        name: first_refusal(scenario, measured)
        for name, (_, scenario) in refusal_scenarios(small).items()
        if expected_grant(scenario, measured) <= size.reach
    }
    tell("the curves")

    def once(scenario: Scenario) -> Outcome:
        return simulate(scenario, measured, seed=middle.seed, phase=middle.phase)

    return Found(
        largest=size.largest,
        runs=size.runs,
        ways=ways,
        policies=policies,
        starts=starts,
        jitter=jitter,
        limits=limits,
        refusals=refusals,
        curves={name: _curve(once(VARIANTS[name].scenario(size.largest, large))) for name in CURVES},
        returns={name: _requests(once(replace(one_address, policy=POLICIES[name][1]))) for name in RETURNS},
    )


def limit_scenarios(machines: int, model: str) -> dict[str, tuple[str, Scenario]]:
    """Where the project's own limits of time decide: words, and a scenario for each."""
    server, store = VARIANTS["store-server"], VARIANTS["store"]
    patient = Policy(settings=SETTINGS._replace(total_timeout=4 * 3600.0))
    holding = Policy(settings=SETTINGS._replace(lock_timeout=3600.0))
    wide: Store = replace(OWN_SERVER, bandwidth=4 * OWN_SERVER.bandwidth)
    return {
        "server": ("a server of one's own, 10 Gbit/s", server.scenario(machines, model)),
        "server-patient": (
            "the same, `DEPTHHUB_TOTAL_TIMEOUT=14400`",
            server.scenario(machines, model, policy=patient),
        ),
        "server-wide": ("four such servers", server.scenario(machines, model, store=wide)),
        "workers": ("object store, 2 workers to a cache", store.scenario(machines, model, workers=2)),
        "workers-holding": (
            "the same, `DEPTHHUB_LOCK_TIMEOUT=3600`",
            store.scenario(machines, model, workers=2, policy=holding),
        ),
    }


def refusal_scenarios(model: str) -> dict[str, tuple[str, Scenario]]:
    """Ways whose first refusal is looked for: words, and a scenario for each, whose number of machines is replaced."""
    asked: dict[str, tuple[str, str, dict[str, Any]]] = {
        "anonymous": ("1 address, no token, a pinned name", "hub-1", {}),
        "anonymous-branch": ("1 address, no token, a branch", "hub-1-branch", {}),
        "free": ("a free account's token, a pinned name", "hub-1", {"plan": PLANS["free"]}),
        "free-branch": ("a free account's token, a branch", "hub-1-branch", {"plan": PLANS["free"]}),
        "pro": ("a PRO account's token, a pinned name", "hub-1", {"plan": PLANS["pro"]}),
        "team": ("a token of a Team organization, a pinned name", "hub-1", {"plan": PLANS["team"]}),
        "enterprise": ("a token of an Enterprise organization, a pinned name", "hub-1", {"plan": PLANS["enterprise"]}),
        "hub-10": ("10 addresses, no token, a pinned name", "hub-10", {}),
        "runners": ("CI runners: 20 addresses, shared with strangers", "runners", {}),
        "store-at-once": ("object store, all start within a second", "store", {"spread": 1.0}),
    }
    return {name: (words, VARIANTS[way].scenario(1, model, **changes)) for name, (words, way, changes) in asked.items()}


def _jitter(spread: float, one_address: Scenario, ask: Callable[[Scenario], Answer]) -> dict[str, Answer]:
    """A wait until the Hub's next window; and one that a mirror asks for, which is asked by all at once."""
    mirror = replace(one_address, plan=_ONE_MIRROR, window=1.0, asks=_ASKS, spread=1.0, policy=Policy(spread=spread))
    return {
        "hub": ask(replace(one_address, policy=Policy(settings=WAITS, spread=spread))),
        "mirror": ask(mirror),
    }


def _curve(outcome: Outcome) -> list[tuple[float, float]]:
    """When each share of the fleet was warm, at as many points as a plot shows."""
    step = max(1, outcome.workers // _POINTS)
    shown = [*range(0, len(outcome.warm), step), len(outcome.warm) - 1] if outcome.warm else []
    return [(round(outcome.warm[place], 1), (place + 1) / outcome.workers) for place in shown]


def _requests(outcome: Outcome) -> list[tuple[int, int]]:
    return sorted(outcome.hub.by_second.items())


def _answers(data: Mapping[str, Any]) -> dict[str, Answer]:
    return {name: Answer(**numbers) for name, numbers in data.items()}
