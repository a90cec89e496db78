"""What is simulated: a fleet, where its machines find their weights, and what stands between. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from depthhub.settings import Settings
from depthhub.transfer import attempts as rule

from .assumptions import (
    CDN_CONNECTION,
    HUB_LATENCY,
    NAT_BANDWIDTH,
    OBJECT_STORE,
    OFFICE_BANDWIDTH,
    OWN_SERVER,
    PLANS,
    RESTART_PAUSES,
    SLOW_EDGES,
    STORE_FAILURES,
    STRANGERS,
    WINDOW,
    Plan,
    Store,
)

Way = Literal["hub", "store", "image"]
Filled = Literal["before", "at-the-start", "never"]

SETTINGS = Settings(cache_dir=Path("nowhere"))
"""The project's own limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a machine tries again. settings: the project's limits. tells: whether a 429 says when to come back.

    spread: of the project's rule, the share of a wait that is added to it by chance. restarts: pauses of a supervisor
    that starts a failed one again, the last one repeated; empty: nobody does. patience: seconds after its start at
    which a supervisor gives up.
    """

    settings: Settings = SETTINGS
    tells: bool = True
    spread: float = rule.SPREAD
    restarts: tuple[float, ...] = ()
    patience: float = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One question to the simulation.

    way: where weights come from first. pinned: a name of the catalog, else a branch. addresses: the fleet's addresses
    on the internet; None: one each. address_bandwidth: bytes a second over each. strangers: the share of a limit that
    others use up. connection: (share, bytes a second) of the CDN's connections.
    store, filled: the shared store, and when somebody fills it. store_failures: share of its transfers that break off.
    half: the store has float16. workers: on each machine, with one cache. spread: seconds within which all start.
    latency: seconds of a request to the Hub. window: seconds of the Hub's windows. asks: seconds that each refusal of
    the Hub asks to wait; None: those until the window ends.
    """

    machines: int
    model: str
    way: Way = "hub"
    pinned: bool = True
    plan: Plan = PLANS["anonymous"]
    addresses: int | None = None
    address_bandwidth: float = NAT_BANDWIDTH
    strangers: float = 0.0
    connection: tuple[tuple[float, float], ...] = ((1.0, CDN_CONNECTION),)
    store: Store = OBJECT_STORE
    filled: Filled = "before"
    store_failures: float = 0.0
    half: bool = False
    workers: int = 1
    spread: float = 60.0
    latency: float = HUB_LATENCY
    window: float = WINDOW
    asks: float | None = None
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to run a fleet, in words, and what it is in a scenario."""

    words: str
    changes: Mapping[str, object]

    def scenario(self, machines: int, model: str, **changes: object) -> Scenario:
        return replace(Scenario(machines=machines, model=model), **{**self.changes, **changes})  # type: ignore[arg-type]


VARIANTS: Mapping[str, Variant] = {
    "hub": Variant(words="Hub, each machine its own address", changes={}),
    "hub-slow": Variant(words="Hub, own addresses, slow edges", changes={"connection": SLOW_EDGES}),
    "hub-10": Variant(words="Hub, 10 shared addresses", changes={"addresses": 10}),
    "hub-1": Variant(words="Hub, 1 shared address", changes={"addresses": 1}),
    "hub-1-token": Variant(
        words="Hub, 1 shared address, a free account's token", changes={"addresses": 1, "plan": PLANS["free"]}
    ),
    "hub-1-branch": Variant(
        words="Hub, 1 shared address, a branch instead of a pinned name", changes={"addresses": 1, "pinned": False}
    ),
    "hub-office": Variant(
        words="Hub, an office: 1 address, 10 Gbit/s", changes={"addresses": 1, "address_bandwidth": OFFICE_BANDWIDTH}
    ),
    "runners": Variant(
        words="Hub, CI runners: 20 addresses, shared with strangers",
        changes={"addresses": 20, "strangers": STRANGERS},
    ),
    "store": Variant(words="object store, filled before", changes={"way": "store", "addresses": 1}),
    "store-half": Variant(words="object store, float16", changes={"way": "store", "addresses": 1, "half": True}),
    "store-server": Variant(
        words="a server of one's own, 10 Gbit/s", changes={"way": "store", "addresses": 1, "store": OWN_SERVER}
    ),
    "store-failing": Variant(
        words="object store, 1 % of transfers break off",
        changes={"way": "store", "addresses": 1, "store_failures": STORE_FAILURES},
    ),
    "store-late": Variant(
        words="object store, filled by a job that starts with the fleet",
        changes={"way": "store", "addresses": 1, "filled": "at-the-start"},
    ),
    "store-empty": Variant(
        words="object store that nobody fills", changes={"way": "store", "addresses": 1, "filled": "never"}
    ),
    "image": Variant(words="in the image", changes={"way": "image"}),
}

WAITS = SETTINGS._replace(retry_after_limit=WINDOW)

POLICIES: Mapping[str, tuple[str, Policy]] = {
    "default": ("as it is", Policy()),
    "waits": ("`DEPTHHUB_RETRY_AFTER_LIMIT=300`", Policy(settings=WAITS)),
    "waits-as-one": ("the same, without the rule's jitter", Policy(settings=WAITS, spread=0.0)),
    "untold": ("as it is, and the Hub does not say when to come back", Policy(tells=False)),
    "restarted": ("as it is, and a supervisor starts again what failed", Policy(restarts=RESTART_PAUSES)),
}
