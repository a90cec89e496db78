"""The acts that put something into a cache, or take it out, one at a time: `publications.py ACT ROOT` does one.

What a cache holds before and after an act is known, so that it can be held against what is found after a power cut.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":  # run as a file, so that nothing else is in the process that is recorded
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cache import samples

from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.collection import Budget
from depthhub_cache.entry import Entry
from depthhub_cache.store import Store

SIZE = 9_000
"""Bytes of the weights of a sample: three pages, so that a file can be torn."""

ORIGINAL = b"an original checkpoint " * 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What is in a cache: names of entries, refs with their data, whether `ORIGINAL` is kept.

    damaged: names of entries that lie there broken, as they did when the act began.
    """

    entries: frozenset[str] = frozenset()
    damaged: frozenset[str] = frozenset()
    refs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    original: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """after: what is there once `do` has come back. lasts: whether that is promised to outlive a power cut."""

    do: Callable[[Store], object]
    after: Holding
    lasts: bool = True


class Act:
    """Steps of one process, one after the other. before: what `prepare` puts there."""

    def __init__(
        self, *steps: Step, prepare: Callable[[Store], object] | None = None, before: Holding | None = None
    ) -> None:
        self.steps = steps
        self.prepare = prepare or (lambda _: None)
        self.before = before or Holding()

    def allowed(self, ended: int, *, under_way: bool) -> list[Holding]:
        """What may be there after so many steps; under_way: and some of the next."""
        holdings = [self.before, *(step.after for step in self.steps)]
        first = ended if ended == 0 or self.steps[ended - 1].lasts else ended - 1
        return holdings[first : ended + 1 + under_way]


def publish(store: Store, name: str) -> Entry:
    return samples.publish(store, name, data=samples.weights_of(name, SIZE))


def bundle_of(store: Store) -> Path:
    """Where a bundle for the cache lies: not on the disk that loses things."""
    return store.root.parents[1] / "models.tar"


def _two_entries(store: Store) -> None:
    publish(store, "vits")
    publish(store, "vitb")


def _cut(store: Store) -> None:
    weights = publish(store, "vits").weights
    weights.write_bytes(weights.read_bytes()[:-5_000])


def _flipped(store: Store) -> None:
    weights = publish(store, "vits").weights
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")


def _distrust(store: Store) -> None:
    entry = store.get(samples.key_of("vits"))
    assert entry is not None
    store.distrust(entry, "a bit of it was found flipped")


def _keep(store: Store) -> None:
    with store.stage() as staging:
        path = staging.add("checkpoint.part", ORIGINAL)
        store.keep(path, samples.hash_of(ORIGINAL), filename="original.pth")


def _damaged_original(store: Store) -> None:
    _keep(store)
    kept = store.kept(samples.hash_of(ORIGINAL))
    assert kept is not None
    kept.write_bytes(ORIGINAL[:-100])


def _export(store: Store) -> None:
    """A bundle of two entries and a ref, from a cache that is gone when the act begins."""
    other = Store(bundle_of(store).with_suffix(".cache"))
    _two_entries(other)
    archive = io.BytesIO()
    export_bundle(other, list(other.keys()), {"hub:vits": {"turn": 1}}, archive.write)
    bundle_of(store).write_bytes(archive.getvalue())


def _import(store: Store) -> None:
    path = bundle_of(store)
    with path.open("rb") as file:
        import_bundle(store, file, path)


def _collect(store: Store) -> None:
    store.pin(samples.key_of("vitb"))
    store.collect(Budget(max_size=0))


def _publish(name: str) -> Callable[[Store], object]:
    return lambda store: publish(store, name)


def _remember(turn: int) -> Callable[[Store], object]:
    return lambda store: store.remember("a", {"turn": turn})


def _remove(store: Store) -> None:
    store.remove(samples.key_of("vits"))


def _holding(*entries: str, ref: int | None = None, original: bool = False) -> Holding:
    refs = {} if ref is None else {"a": {"turn": ref}}
    return Holding(entries=frozenset(entries), refs=refs, original=original)


_damaged = Holding(damaged=frozenset({"vits"}))
_imported = Holding(entries=frozenset({"vits", "vitb"}), refs={"hub:vits": {"turn": 1}})

ACTS: Mapping[str, Act] = {
    "publish": Act(Step(_publish("vits"), _holding("vits"))),
    "publish beside another": Act(
        Step(_publish("vits"), _holding("vits", "vitb")), prepare=_publish("vitb"), before=_holding("vitb")
    ),
    "replace a broken entry": Act(Step(_publish("vits"), _holding("vits")), prepare=_cut, before=_damaged),
    "set a damaged entry aside": Act(Step(_distrust, _holding()), prepare=_flipped, before=_damaged),
    "remove": Act(Step(_remove, _holding("vitb")), prepare=_two_entries, before=_holding("vits", "vitb")),
    "collect": Act(Step(_collect, _holding("vitb")), prepare=_two_entries, before=_holding("vits", "vitb")),
    "remember": Act(Step(_remember(1), _holding(ref=1))),
    "remember anew": Act(Step(_remember(2), _holding(ref=2)), prepare=_remember(1), before=_holding(ref=1)),
    "forget": Act(
        Step(lambda store: store.forget("a"), Holding(refs={"a": {}})), prepare=_remember(1), before=_holding(ref=1)
    ),
    "keep an original": Act(Step(_keep, _holding(original=True))),
    "replace a damaged original": Act(Step(_keep, _holding(original=True)), prepare=_damaged_original),
    "import a bundle": Act(Step(_import, _imported), prepare=_export),
    # What a step left unsynced is still at stake in the next.
    "seven in a row": Act(
        Step(_publish("vits"), _holding("vits")),
        Step(_remember(1), _holding("vits", ref=1)),
        Step(_publish("vitb"), _holding("vits", "vitb", ref=1)),
        Step(_remember(2), _holding("vits", "vitb", ref=2)),
        Step(_keep, _holding("vits", "vitb", ref=2, original=True)),
        Step(_remove, _holding("vitb", ref=2, original=True)),
        Step(_publish("vits"), _holding("vits", "vitb", ref=2, original=True)),
    ),
}

MARK = "step-"
"""How the names of the folders begin that are made beside the cache at the end of each step, to be told apart."""

if __name__ == "__main__":
    _, act, root = sys.argv
    for number, step in enumerate(ACTS[act].steps, 1):
        step.do(Store(Path(root)))
        Path(root).with_name(f"{MARK}{number}").mkdir()
