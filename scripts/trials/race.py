"""Many processes that want the same thing at the same moment, under the same name and under others.

Each round begins with an empty cache. Two contents lie on the Hub; the first has four names. With locks every content
is downloaded once and converted once. With --no-locks, as on file systems whose locks exclude nobody, work may be done
twice, and nothing else may be different.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .barrier import together
from .children import Tell
from .no_locks import GRANTED, turn_off_locks
from .ready import get_ready
from .report import Report
from .trial import Count, Options
from .workplace import workplace

if TYPE_CHECKING:
    from .hub_process import HubProcess

COUNTS = {"processes": Count(short=6, full=32), "rounds": Count(short=3, full=50)}
SWITCHES = {"no-locks": "locking is a no-op in every process: a lock is always granted, to everybody"}

_PINNED = "small-pinned"
_NO_LOCK = "locks that were granted and are none"
_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A name, and which content it means."""

    source: str
    content: str
    family: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What a process was given: key and sha256 of the file, sha256 of the model's parameters."""

    key: str
    file: str
    model: str


def run(options: Options) -> Report:
    report = Report("race")
    chance = options.random()
    locks = not options.on("no-locks")
    with workplace(options) as folder:
        get_ready(folder)
        with _hub(folder) as (hub, wishes):
            for number in range(options["rounds"]):
                everybody = [wishes[at % len(wishes)] for at in range(options["processes"])]
                chance.shuffle(everybody)
                _round(hub, everybody, folder / f"cache{number}", report, locks=locks)
    report.require("processes that wanted a model at the same moment", at_least=options["processes"])
    if not locks:
        _require_that_there_were_none(report)
    return report


def _round(hub: HubProcess, everybody: list[Wish], root: Path, report: Report, *, locks: bool) -> None:
    hub.call("clear_log")
    ended = together(
        [lambda tell, wish=wish: _call(wish, root, tell, locks=locks) for wish in everybody],  # type: ignore[misc]
        seconds=_SECONDS,
    )
    report.did("rounds")
    got: dict[str, set[Got]] = {}
    conversions: Counter[str] = Counter()
    for wish, end in zip(everybody, ended, strict=True):
        report.did("processes that wanted a model at the same moment")
        conversions[wish.content] += sum(mark == "converting" for _, mark in end.marks)
        if not locks:
            report.did(_NO_LOCK, sum(mark == GRANTED for _, mark in end.marks))
        if end.how == "done":
            got.setdefault(wish.content, set()).add(end.value)
        else:
            report.violated("processes that wanted a model at the same moment", f"{wish.source}: {end}")
    _compare(got, root, report)
    downloads = Counter(path.split("/")[-2] for path in hub.downloads())
    for content in {wish.content for wish in everybody}:
        _count("conversions", content, conversions[content], report, locks=locks)
        _count("downloads", content, downloads[content], report, locks=locks)


def _call(wish: Wish, root: Path, tell: Tell, *, locks: bool) -> Got:
    from depthhub import from_pretrained, prewarm

    from .samples import digest_of, stages_told
    from .soundness import sha256_of

    if not locks:
        turn_off_locks(tell)
    model = from_pretrained(wish.source, family=wish.family, cache_dir=root, progress=stages_told(tell))
    [made] = prewarm([wish.source], family=wish.family, cache_dir=root)
    return Got(key=made.key, file=sha256_of(made.path), model=digest_of(model))


def _compare(got: dict[str, set[Got]], root: Path, report: Report) -> None:
    """All that asked for a content were given the same; what is published is whole."""
    from depthhub_cache.store import Store

    from .soundness import rubbish, unsound

    store = Store(root)
    for content, answers in got.items():
        report.did("contents that all were given alike")
        if len(answers) != 1:
            report.violated("contents that all were given alike", f"{content:.12}: {len(answers)} different answers")
    found = len(list(store.keys()))
    report.did("entries, every byte read", found)
    if found != len(got):
        report.violated("entries, every byte read", f"{found} entries of {len(got)} contents")
    for wrong in unsound(store):
        report.violated("entries, every byte read", wrong)
    store.sweep()
    for left in rubbish(store):
        report.violated("entries, every byte read", left)


def _count(what: str, content: str, number: int, report: Report, *, locks: bool) -> None:
    report.did(what, number)
    report.did(f"{what} that had to be", 1)
    if number != 1 and (locks or number == 0):
        report.violated(what, f"{number} of content {content:.12}, where 1 is right")


def _require_that_there_were_none(report: Report) -> None:
    """Where no work was done twice, the locks were not off, and nothing was shown."""
    report.require(_NO_LOCK)
    report.require("conversions", at_least=report.done("conversions that had to be") + 1)


@contextmanager
def _hub(folder: Path) -> Iterator[tuple[HubProcess, list[Wish]]]:
    """A Hub with two contents, and every name that they have."""
    from .hub_process import hub_process
    from .samples import FAMILY, FILE, REPO, small_checkpoint

    paths = [small_checkpoint(folder / f"{seed}.pth", seed=seed) for seed in range(2)]
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    with hub_process() as hub:
        commit = hub.call("add_file", REPO, FILE, paths[0])
        hub.call("add_file", "other/copy", "renamed.pth", paths[0])
        hub.call("add_file", "other/different", FILE, paths[1])
        catalog = folder / "catalog.json"
        catalog.write_text(json.dumps(_catalog(commit, first)))
        os.environ["DEPTHHUB_CATALOG"] = str(catalog)
        try:
            yield (
                hub,
                [
                    Wish(source=f"{REPO}/{FILE}", content=first, family=FAMILY),
                    Wish(source="other/copy/renamed.pth", content=first, family=FAMILY),
                    Wish(source=f"hf://{REPO}@{commit}/{FILE}", content=first, family=FAMILY),
                    Wish(source=_PINNED, content=first, family=None),
                    Wish(source=f"other/different/{FILE}", content=second, family=FAMILY),
                ],
            )
        finally:
            del os.environ["DEPTHHUB_CATALOG"]


def _catalog(commit: str, sha256: str) -> dict[str, object]:
    """A catalog with one name, whose commit and digest are pinned."""
    from .samples import FILE, REPO

    checkpoint = {
        "name": _PINNED,
        "family": "depth-anything-v2",
        "encoder": None,
        "repo_id": REPO,
        "repo_type": "model",
        "filename": FILE,
        "revision": commit,
        "revision_corroborations": 2,
        "sha256": sha256,
        "sha256_corroborations": 2,
        "size": None,
        "licence": "apache-2.0",
        "official": False,
        "layout": "original",
        "build": {"family": "v2", "taps": "spread", "activation": "relu", "max_depth": None},
    }
    return {"about": "for a trial", "version": 1, "aliases": {}, "checkpoints": [checkpoint]}
