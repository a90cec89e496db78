"""Cuts the power at every system call of a publication, loses what was not synced, and looks at what is left.

The calls of a real process are recorded, and replayed on a model of a POSIX file system that keeps only what was
synced. Every state that it may leave is made a real folder and opened: what is visible there must be whole, what was
there before must still be there, what was done before the cut must be done, and all must go on from there.
The same with the syncs left out of the recording must go wrong: so much for whether the model loses anything.
"""

from __future__ import annotations

import hashlib
import logging
import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cache.samples import hash_of, key_of, weights_of

from depthhub_cache import quarantine
from depthhub_cache.errors import BrokenEntryError, DepthHubError
from depthhub_cache.identity import Key
from depthhub_cache.store import Store

from . import publications
from .lossy_disk import Cut, History, State, read_state, write_state
from .publications import ACTS, MARK, ORIGINAL, SIZE, Act, Holding, publish
from .report import Report
from .soundness import rubbish
from .system_calls import Call, record, strace_works
from .trial import Count, Options
from .workplace import workplace

COUNTS = {
    "losses": Count(short=8, full=1_024),
    "draws": Count(short=1, full=64),
    "points": Count(short=6, full=10_000),
}
SWITCHES = {"no-strace": "record Python's own functions instead of system calls: the way without strace"}

_ROOT = "cache"
_HIDDEN = f"{_ROOT}/v1/tmp"
_NAMES = {key_of(name): name for name in ("vits", "vitb")}
_FEW = {"losses": 32, "draws": 1, "points": 20}
_ENOUGH = 25
_CONTROLS = ("publish", "remember anew", "import a bundle")


@dataclass(slots=True)
class Tally:
    """points: places of the cut; complete: those where all subsets were tried. losses: states that were thought of."""

    points: int = 0
    complete: int = 0
    losses: int = 0
    opened: int = 0
    complaints: list[str] = field(default_factory=list)


def run(options: Options) -> Report:
    """For each act: record, cut everywhere, open every state. Then the controls."""
    report = Report("fsync")
    logging.getLogger("depthhub_cache").setLevel(logging.CRITICAL)  # a state with something broken is no news here
    strace = strace_works() and not options.on("no-strace")
    report.note("the calls were recorded " + ("with strace" if strace else "by wrapping Python's own functions"))
    total = Tally()
    chance = options.random()
    with workplace(options) as folder:
        for name, act in ACTS.items():
            recording = record_act(name, folder / name.replace(" ", "-"), strace=strace)
            what = f"{name}: states opened"
            found = examine(recording, act, most=options.counts, chance=chance, place=folder / "state", enough=_ENOUGH)
            for complaint in [*recording.unexplained(), *found.complaints]:
                report.violated(what, complaint)
            report.did(what, found.opened)
            report.require(what, at_least=found.points // 3)
            total.points += found.points
            total.complete += found.complete
            total.losses += found.losses
            total.opened += found.opened
            for kind in ("files", "folders") if name in _CONTROLS else ():
                less = recording.without_syncs_of(kind)
                broken = examine(less, act, most=_FEW, chance=chance, place=folder / "state", enough=_ENOUGH)
                control = f"control, {kind} not synced: {name}: bad states found"
                report.did(control, len(broken.complaints))
                report.require(control)
    report.note(
        f"{total.points:,} crash points; at {total.complete:,} of them every subset was tried of the changes of names "
        "that may be lost and be missed, at the others some by chance; files are torn at pages, by chance"
    )
    report.note(f"{total.losses:,} losses led to {total.opened:,} different states, each opened once")
    return report


class Recording:
    """What an act did, call by call. before, after: what lay on the disk. ends: of its steps, the calls until then."""

    def __init__(self, calls: list[Call], before: State, after: State) -> None:
        self.before = before
        self.after = {path: content for path, content in after.items() if not path.startswith(MARK)}
        self.calls: list[Call] = []
        self.ends: list[int] = []
        for call in calls:
            if call.path.startswith(MARK):
                self.ends.append(len(self.calls))
            else:
                self.calls.append(call)

    def history(self) -> History:
        return History(self.before, self.calls, hidden=_HIDDEN)

    def unexplained(self) -> Iterator[str]:
        """Where the recording does not lead to what lies there: then it has missed something."""
        told = self.history().end()
        for path in sorted({*told, *self.after}):
            if path not in told or path not in self.after or told[path] != self.after[path]:
                yield f"the recording does not explain {path}"

    def without_syncs_of(self, kind: str) -> Recording:
        """The same, but nobody synced the `files`, or the `folders`."""
        history = self.history()
        files = {at for file in history.files.values() for at in file.syncs}
        dropped = files if kind == "files" else {at for at, _ in history.folder_syncs}
        less = Recording([call for at, call in enumerate(self.calls) if at not in dropped], self.before, self.after)
        less.ends = [end - sum(at < end for at in dropped) for end in self.ends]
        return less


def record_act(name: str, folder: Path, *, strace: bool) -> Recording:
    """Let another process do the act; `folder` is made for it."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    ACTS[name].prepare(Store(disk / _ROOT))
    before = read_state(disk)
    script = Path(publications.__file__)
    calls = record(script, [name, str(disk / _ROOT)], folder=disk, log=folder / "calls", strace=strace)
    return Recording(calls, before, read_state(disk))


def examine(
    recording: Recording,
    act: Act,
    *,
    most: Mapping[str, int],
    chance: random.Random,
    place: Path,
    enough: int,
) -> Tally:
    """Cut at every call, or at some by chance, and open every state that this may leave, each once, in `place`.

    most: `points` to cut at; `losses` and `draws` at each, see `Cut.states`. enough: complaints after which to stop.
    """
    history, tally, seen = recording.history(), Tally(), set[bytes]()
    last = len(history.calls)
    points = range(last + 1)
    if len(points) > most["points"]:
        points = sorted({last, *chance.sample(points, most["points"] - 1)})
    for point in points:
        cut = Cut(history, point)
        tally.points += 1
        tally.complete += cut.is_small(most["losses"])
        ended = sum(end <= point for end in recording.ends)
        allowed = act.allowed(ended, under_way=point not in (0, last, *recording.ends))
        for state in _both_models(cut, most, chance):
            tally.losses += 1
            digest = hashlib.sha256(repr((sorted(state.items()), allowed)).encode()).digest()
            if digest in seen:
                continue
            seen.add(digest)
            tally.opened += 1
            write_state(state, place)
            for complaint in complaints(place / _ROOT, allowed, recording.before):
                at = history.calls[point] if point < last else "the end"
                tally.complaints.append(f"{complaint} (cut before call {point}, {at})")
            shutil.rmtree(place)
            if len(tally.complaints) >= enough:
                return tally
    return tally


def complaints(root: Path, allowed: list[Holding], before: State) -> Iterator[str]:
    """What is wrong with a cache that a power cut has left, and when it is used from there.

    What an act found damaged `before` is excused while it lies there as it did.
    """
    store = Store(root)
    try:
        damaged = frozenset[str]().union(*(holding.damaged for holding in allowed))
        excused = {key for key, name in _NAMES.items() if name in damaged and _is_as_before(store, key, before)}
        yield from _not_whole(store, excused, before)
        yield from _not_as_allowed(store, allowed, excused)
        yield from _cannot_go_on(store)
    except (DepthHubError, OSError) as error:
        yield f"{type(error).__name__}: {error}"


def _not_whole(store: Store, excused: set[Key], before: State) -> Iterator[str]:
    for key in sorted({*store.keys()} - excused):
        entry = store.get(key)
        if entry is None:
            yield f"entry {_NAMES[key]} is half there"
            continue
        try:
            store.verify(entry, deep=True)
        except DepthHubError as error:
            yield f"entry {_NAMES[key]} is given out: {error}"
        if entry.weights.read_bytes() != weights_of(_NAMES[key], SIZE):
            yield f"entry {_NAMES[key]} has other weights"
    for path, problem in store.broken_refs():
        yield f"ref {path.name}: {problem}"
    original = store.kept(hash_of(ORIGINAL))
    if original is not None and original.read_bytes() != ORIGINAL:
        path = f"{_ROOT}/{original.relative_to(store.root).as_posix()}"
        if before.get(path) != original.read_bytes():
            yield "the kept original has other bytes"
    for place in quarantine.all_set_aside(store.root / "v1" / "quarantine"):
        quarantine.reason_of(place)


def _is_as_before(store: Store, key: Key, before: State) -> bool:
    folder = store.root / "v1" / "entries" / key[:2] / key
    inside = f"{_ROOT}/{folder.relative_to(store.root).as_posix()}/"
    old = {path.removeprefix(inside): content for path, content in before.items() if path.startswith(inside)}
    return bool(old) and read_state(folder) == old


def _not_as_allowed(store: Store, allowed: list[Holding], excused: set[Key]) -> Iterator[str]:
    """Each thing is as one of `allowed` says."""
    for key, name in _NAMES.items():
        there = store.get(key) is not None
        if there not in {name in holding.entries for holding in allowed} and key not in excused:
            yield f"entry {name} is {'there again' if there else 'missing'}"
    for name in ("a", "hub:vits"):
        if store.recall(name) not in [holding.refs.get(name) for holding in allowed]:
            yield f"ref {name} is {store.recall(name)}"
    if all(holding.original for holding in allowed) and store.kept(hash_of(ORIGINAL)) is None:
        yield "the kept original is missing"


def _cannot_go_on(store: Store) -> Iterator[str]:
    """It is verified, swept and filled again, as its users would do."""
    store.usage()
    for entry in list(store.entries()):
        try:
            store.verify(entry, deep=True)
        except BrokenEntryError as error:
            store.distrust(entry, str(error))
    store.sweep()
    yield from rubbish(store)
    for name in _NAMES.values():
        store.verify(publish(store, name), deep=True)
    store.remember("a", {"turn": 3})
    if store.recall("a") != {"turn": 3}:
        yield "ref a cannot be remembered"


def _both_models(cut: Cut, most: Mapping[str, int], chance: random.Random) -> Iterator[State]:
    yield from cut.states(most=most["losses"], draws=most["draws"], chance=chance)
    yield from cut.ordered_states(chance=chance)
