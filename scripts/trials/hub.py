"""Every fault of a Hub, at every stage of a first call: one at a time, all pairs, and threes by chance.

Each call must end within its limits, with the right content or with the documented error, and leave nothing behind;
the next call, of a Hub that is well again, succeeds. A single fault that passes must not even be noticed.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .children import Ended, Tell, in_a_child, many
from .ready import get_ready
from .report import Report
from .trial import Count, Options
from .workplace import workplace

if TYPE_CHECKING:
    from depthhub.testing import LocalHub

    from .ills import Ill

T = TypeVar("T")

COUNTS = {
    "singles": Count(short=10, full=1_000_000),
    "pairs": Count(short=6, full=1_000_000),
    "threes": Count(short=4, full=1000),
}
SWITCHES: dict[str, str] = {}

_LIMITS = {"CONNECT_TIMEOUT": 1.0, "STALL_TIMEOUT": 0.4, "TOTAL_TIMEOUT": 2.5, "RETRY_AFTER_LIMIT": 0.5}
_QUESTIONS = 4
"""The list of files, config.json, the checkpoint; and near names, where one of them is not there."""

_BOUND = _QUESTIONS * (_LIMITS["TOTAL_TIMEOUT"] + _LIMITS["STALL_TIMEOUT"]) + 5.0
"""Seconds of a call at most; the last are for a machine that has much to do."""

_AT_ONCE = 16

_MAX_DEPTH = 20.0
"""Metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is on the Hub, and the sha256 of what it is converted to."""

    checkpoint: Path
    config: bytes
    made: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a call went. error: what it raised, None where it gave the right content. struck: requests with a fault."""

    seconds: float
    struck: int
    error: BaseException | None
    wrong: tuple[str, ...]


def run(options: Options) -> Report:
    from .ills import every_ill

    report = Report("hub")
    chance = options.random()
    with workplace(options) as folder:
        get_ready(folder)
        os.environ.update({f"DEPTHHUB_{name}": str(seconds) for name, seconds in _LIMITS.items()})
        offer = _offer(folder)
        ills = every_ill(config_size=len(offer.config), size=offer.checkpoint.stat().st_size)
        for what, ways in _ways(ills, options, chance).items():
            report.did(what, 0)
            works = [
                partial(_call, offer, folder / what.replace(" ", "-") / str(n), *way) for n, way in enumerate(ways)
            ]
            for (struck, times), ended in zip(ways, many(works, at_once=_AT_ONCE, seconds=2 * _BOUND), strict=True):
                _judge(what, struck, times, ended, report)
            report.require(what)
    for outcome in ("right content", "documented error"):
        report.require(outcome)
    return report


Way = tuple[tuple["Ill", ...], int | None]


def _ways(ills: list[Ill], options: Options, chance: random.Random) -> dict[str, list[Way]]:
    """The faults of each call, and how often each of them strikes (None: always)."""
    threes = (tuple(chance.sample(ills, 3)) for _ in range(options["threes"]))
    return {
        "one fault, once": [((ill,), 1) for ill in _some(ills, options["singles"], chance)],
        "one fault, always": [((ill,), None) for ill in _some(ills, options["singles"], chance)],
        "two faults": [(pair, 1) for pair in _some(list(itertools.combinations(ills, 2)), options["pairs"], chance)],
        "three faults": [(three, chance.choice((1, 2, None))) for three in threes],
    }


def _some(things: list[T], most: int, chance: random.Random) -> list[T]:
    return things if len(things) <= most else chance.sample(things, most)


def _judge(what: str, struck: tuple[Ill, ...], times: int | None, ended: Ended, report: Report) -> None:
    report.did(what)
    which = " and ".join(map(str, struck)) + ("" if times else ", always")
    if ended.how != "done":
        report.violated(what, f"{which}: {ended}")
        return
    course: Course = ended.value
    report.did("right content" if course.error is None else "documented error")
    if len(struck) == 1 and not course.struck:
        report.violated(what, f"{which}: it struck no request, so nothing was shown")
    report.did("requests that a fault struck", course.struck)
    for wrong in _wrong_with(course, must_succeed=times == 1 and len(struck) == 1 and struck[0].passes):
        report.violated(what, f"{which}: {wrong}")


def _wrong_with(course: Course, *, must_succeed: bool) -> Iterator[str]:
    from depthhub.errors import AccessError, FamilyError, HubError, HubTimeoutError, IntegrityError, NotFoundError

    yield from course.wrong
    if course.seconds > _BOUND:
        yield f"it took {course.seconds:.1f} s, more than the limits allow"
    error = course.error
    if error is None:
        return
    if must_succeed:
        yield f"it passes, and the call raised {type(error).__name__}: {error}"
    if not isinstance(error, AccessError | FamilyError | HubError | IntegrityError | NotFoundError):
        yield f"not a documented error: {type(error).__name__}: {error}"
    if isinstance(error, HubTimeoutError) and "DEPTHHUB_" not in str(error):
        yield f"the error names no setting: {error}"


def _call(offer: Offer, root: Path, struck: tuple[Ill, ...], times: int | None, _: Tell) -> Course:
    """In a child, with a Hub of its own: the call, a look at what it left, and the next one."""
    from depthhub_cache.store import Store

    from .soundness import rubbish, unsound

    with _hub(offer) as hub:
        for ill in struck:
            ill.inject(hub, times=times)
        began = time.monotonic()
        error, wrong = _tried(offer, root)
        seconds = time.monotonic() - began
        hit = sum(asked.fault is not None for asked in hub.requests)
        wrong += [*unsound(Store(root)), *rubbish(Store(root))]
        hub.heal()
        error_again, wrong_again = _tried(offer, root)
        if error_again is not None:
            wrong.append(f"the next call raised {type(error_again).__name__}: {error_again}")
    shutil.rmtree(root, ignore_errors=True)
    return Course(seconds=seconds, struck=hit, error=error, wrong=(*wrong, *wrong_again))


def _tried(offer: Offer, root: Path) -> tuple[BaseException | None, list[str]]:
    from .soundness import sha256_of

    try:
        made = sha256_of(_prewarmed(root))
    except Exception as error:  # noqa: BLE001  judged by the parent
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error, []
    return None, [] if made == offer.made else [f"the entry has other bytes, sha256 {made}"]


def _prewarmed(root: Path) -> Path:
    from depthhub import prewarm

    from .samples import SOURCE

    return prewarm([SOURCE], cache_dir=root)[0].path


def _hub(offer: Offer) -> LocalHub:
    """A LocalHub with the checkpoint and the config.json that says how to build it, to which HF_ENDPOINT points."""
    from depthhub.testing import LocalHub

    from .samples import FILE, REPO

    hub = LocalHub().start()
    hub.add_file(REPO, FILE, offer.checkpoint)
    hub.add_file(REPO, "config.json", offer.config, lfs=False)
    os.environ["HF_ENDPOINT"] = hub.endpoint
    return hub


def _offer(folder: Path) -> Offer:
    """The config.json says how to build the model: then no family is given, and the call has to ask for it."""
    from .samples import FILE, small_checkpoint
    from .soundness import sha256_of

    checkpoint = small_checkpoint(folder / FILE)

    def convert(_: Tell) -> tuple[bytes, str]:
        from depthhub import identify, prewarm

        sizes = identify(checkpoint).sizes
        assert sizes is not None
        config = {"encoder": "small", "features": sizes.fusion_channels, "max_depth": _MAX_DEPTH}
        config["out_channels"] = list(sizes.reassembly_channels)
        [made] = prewarm([checkpoint], family="v2-metric", max_depth=_MAX_DEPTH, cache_dir=folder / "undisturbed")
        return json.dumps(config).encode(), sha256_of(made.path)

    config, made = _value_of(in_a_child(convert))
    offer = Offer(checkpoint=checkpoint, config=config, made=made)
    course = _value_of(in_a_child(partial(_call, offer, folder / "first", (), 1)))
    if course.error is not None or course.wrong:
        raise RuntimeError(f"an undisturbed call: {course}")
    return offer


def _value_of(ended: Ended) -> Any:
    if ended.how != "done":
        raise RuntimeError(f"an undisturbed call {ended}")
    return ended.value
