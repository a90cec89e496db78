"""What a cold call costs on one machine, as `scripts/fleet_sim --measure` found it: requests, bytes, seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).with_name("measured.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Of one cold call, by what the Hub counts them as."""

    api: int
    resolve: int
    cdn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of one model. Bytes: of the released original on the Hub, of the entry and its record, of a float16 entry.

    intake, entry_intake: bytes a second that a machine takes, hashed and written, of an original and of an entry.
    make: seconds from the last byte of the original to the published entry; place: from the last byte of an entry.
    """

    original: int
    entry: int
    half: int
    record: int
    intake: float
    entry_intake: float
    make: float
    place: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The file. facts: when and where, for people. requests: of a name that is pinned, and of a branch.

    gets: of a shared store, for one entry. models: by the catalog's short names.
    """

    facts: Mapping[str, str]
    requests: Mapping[str, Requests]
    gets: int
    models: Mapping[str, Costs]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def read_measured(path: Path = MEASURED) -> Measured:
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Measured(
        facts=found["facts"],
        requests={kind: Requests(**counted) for kind, counted in found["requests"].items()},
        gets=found["gets"],
        models={name: Costs(**costs) for name, costs in found["models"].items()},
    )
