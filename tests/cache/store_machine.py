"""A store against a plain model: whatever is done in whatever order, it holds what the model holds.

Shared by the test beside it and by `scripts/torture machine`, so it loads no test framework but Hypothesis. Two tiers:
one that is written to, and one below that is only read. Times of last use are set by the machine, 100 seconds apart.
"""

from __future__ import annotations

import functools
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.collection import Budget
from depthhub_cache.entry import Entry
from depthhub_cache.errors import BrokenEntryError, BundleError
from depthhub_cache.owner import Owner
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from .samples import files_under, key_of, memory_folder, publish, weights_of
from .store_model import Bundle, Collection, Model, Thing

_ALL = ("vits", "vitb", "vitl", "vitg")
NAMES = st.sampled_from(_ALL)
DATA = st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=2)
DAMAGES = st.sampled_from(("no record", "half a record", "cut", "header", "flipped", "flipped", "no weights"))
TIERS = st.sampled_from(("own", "own", "lower"))

_TICK = 100.0
_LONG_AGO = 100_000.0


class StoreMachine(RuleBasedStateMachine):
    """`done` counts, over all runs, what was done and what came of it."""

    done: ClassVar[Counter[str]] = Counter()

    @initialize(below=st.sets(NAMES), refs=st.dictionaries(NAMES, DATA, max_size=2))
    def begin(self, below: set[str], refs: dict[str, dict[str, int]]) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=memory_folder()))
        self.model = Model()
        self.turn = 0
        self.began = time.time() - _LONG_AGO
        lower = Store(self.folder / "lower")
        for name in sorted(below):
            self.model.lower[name] = Thing(self._next())
            publish(lower, name, turn=self.turn)
        for name, data in refs.items():
            self.model.lower_refs[name] = data
            lower.remember(name, data)
        self._open()
        self.lower_files = files_under(self.folder / "lower")

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    # entries

    @rule(names=st.sets(NAMES, min_size=1), locked=st.booleans())
    def publish_some(self, names: set[str], locked: bool) -> None:
        for name in sorted(names):
            self._publish(name, locked=locked)

    def _publish(self, name: str, *, locked: bool) -> None:
        self._did("publish")
        turn = self._next()
        if locked:
            with self.store.lock(key_of(name)) as held:
                assert held
                entry = publish(self.store, name, turn=turn)
        else:
            entry = publish(self.store, name, turn=turn)
        self._publishes(name, turn)
        assert entry.record.about["turn"] == self.model.own[name].turn

    @precondition(lambda self: any(thing.damage for thing in self.model.own.values()))
    @rule(data=st.data())
    def publish_over_a_damaged_one(self, data: st.DataObject) -> None:
        damaged = sorted(name for name, thing in self.model.own.items() if thing.damage)
        self._publish(data.draw(st.sampled_from(damaged)), locked=False)

    @rule(name=NAMES)
    def get(self, name: str) -> None:
        self._did("get")
        self._get(name)

    @precondition(lambda self: self.model.own)
    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self._did("remove")
        freed = self.store.remove(key_of(name))
        assert (freed > 0) == (name in self.model.own)
        self._shrinks(name)

    @precondition(lambda self: self.model.own or self.model.lower)
    @rule(name=NAMES, tier=TIERS, damage=DAMAGES)
    def corrupt(self, name: str, tier: str, damage: str) -> None:
        things = self.model.own if tier == "own" else self.model.lower
        if name not in things or things[name].damage:
            return
        self._did("corrupt")
        root = self.store.root if tier == "own" else self.folder / "lower"
        folder = root / "v1" / "entries" / key_of(name)[:2] / key_of(name)
        before = folder.stat()
        _damage(folder, damage)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        things[name].damage = damage
        self.lower_files = files_under(self.folder / "lower")

    @rule(name=NAMES, deep=st.booleans(), set_aside=st.booleans())
    def verify(self, name: str, deep: bool, set_aside: bool) -> None:
        """As `depthhub verify` does: the first tier that has something under the key; what fails there is set aside."""
        self._did("verify")
        first = self.model.first(name)
        sound = first is not None and (first[1].damage is None or (first[1].damage == "flipped" and not deep))
        try:
            self.store.verify(key_of(name), deep=deep)
        except BrokenEntryError as error:
            assert not sound
            if first is not None and first[0] == "own" and set_aside:
                place = self.store.quarantine(error.path, str(error))
                assert place is not None
                self._sets_aside(name)
        else:
            assert sound

    @rule(name=NAMES)
    def distrust(self, name: str) -> None:
        """As a load does with what it cannot open: never given again, the next tier has its turn."""
        entry, given = self._get(name), self.model.given(name)
        if entry is None or given is None:
            return
        self._did("distrust")
        self.store.distrust(entry, "for a reason")
        if given[0] == "own":
            self._sets_aside(name)
        else:
            self.model.passed_by.add(name)

    # in use, pinned, collected

    @rule(name=NAMES)
    def lease(self, name: str) -> None:
        entry, given = self._get(name), self.model.given(name)
        if entry is None or given is None:
            return
        self._did("lease")
        lease = self.store.lease(entry)
        if given[0] == "own":
            self.model.leases.setdefault(name, []).append(lease)
            self._uses(name)

    @precondition(lambda self: any(self.model.leases.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self._did("release")
        name = data.draw(st.sampled_from(sorted(name for name, leases in self.model.leases.items() if leases)))
        self.model.leases[name].pop().release()

    @rule(name=NAMES)
    def pin(self, name: str) -> None:
        self._did("pin")
        self.store.pin(key_of(name))
        self.model.pins.add(name)

    @precondition(lambda self: self.model.pins)
    @rule(name=NAMES)
    def unpin(self, name: str) -> None:
        self._did("unpin")
        self.store.unpin(key_of(name))
        self.model.pins.discard(name)

    @precondition(lambda self: self.model.own)
    @rule(
        size=st.none() | st.just(0) | st.integers(0, 3_000),
        ticks=st.none() | st.integers(0, 20),
        keep=st.sets(NAMES, max_size=1),
        dry_run=st.sampled_from((False, False, True)),
    )
    def collect(self, size: int | None, ticks: int | None, keep: set[str], dry_run: bool) -> None:
        self._did("collect, as a dry run" if dry_run else "collect")
        age = None if ticks is None else _LONG_AGO - self.turn * _TICK + (ticks + 0.5) * _TICK
        expected = self._expected(size, age, keep)
        found = self.store.collect(
            Budget(max_size=size, max_age=age), dry_run=dry_run, keep=[key_of(name) for name in keep]
        )
        assert [decision.item.name for decision in found.freed] == expected.freed
        assert [decision.item.name for decision in found.spared] == expected.spared
        assert found.bytes == expected.left
        if dry_run:
            return
        self.model.rubbish = 0
        for decision in found.spared:
            self._came(f"spared: {decision.why.partition(' by')[0]}")
        for decision in found.freed:
            if decision.item.kind == "entry":
                self._came("collected")
                self._shrinks(_name_of(decision.item.name))
            else:
                self._came("collected from the quarantine")
                self.model.quarantine -= 1

    # processes that end, and those elsewhere

    @rule(name=NAMES, kind=st.sampled_from(("half a file", "gathered", "lease")), here=st.booleans())
    def crash(self, name: str, kind: str, here: bool) -> None:
        """What a process leaves that ended without a word: here it can be told, of one elsewhere not."""
        self._did("crash" if here else "crash elsewhere")
        owner = _ended() if here else Owner("elsewhere.0123abcd", 7, 7)
        number = f"{owner}-{self._next():08x}"
        if kind == "lease":
            leases = self.store.root / "v1" / "leases"
            leases.mkdir(parents=True, exist_ok=True)
            (leases / f"{key_of(name)}.{number}").touch()
            if not here:
                self.model.foreign.add(name)
            return
        staging = self.store.root / "v1" / "tmp" / number
        staging.mkdir(parents=True)
        if kind == "half a file":
            (staging / "weights.safetensors").write_bytes(weights_of(name)[:50])
        else:
            (staging / "entry").mkdir()
            (staging / "entry" / "weights.safetensors").write_bytes(weights_of(name))
        self.model.rubbish += here
        self.model.elsewhere += not here

    @precondition(lambda self: self.model.rubbish or self.turn % 5 == 0)
    @rule()
    def sweep(self) -> None:
        self._did("sweep")
        assert (self.store.sweep() > 0) == (self.model.rubbish > 0)
        self.model.rubbish = 0

    @precondition(lambda self: self.model.passed_by or self.turn % 5 == 0)
    @rule()
    def open_anew(self) -> None:
        self._did("open anew")
        self._open()
        self.model.passed_by.clear()

    # refs

    @rule(name=NAMES, data=DATA)
    def remember(self, name: str, data: dict[str, int]) -> None:
        self._did("remember")
        self.store.remember(name, data)
        self.model.refs[name] = data
        self.model.broken_refs.discard(name)

    @precondition(lambda self: self.model.refs or self.model.lower_refs)
    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self._did("forget")
        self.store.forget(name)
        if name in {*self.model.refs, *self.model.lower_refs, *self.model.lost_refs}:
            self.model.refs[name] = {}
            self.model.broken_refs.discard(name)

    @rule(name=NAMES, at=st.integers(0, 60))
    def corrupt_a_ref(self, name: str, at: int) -> None:
        if name not in self.model.refs or name in self.model.broken_refs:
            return
        self._did("corrupt a ref")
        path = ref_path(self.store.root / "v1" / "refs", name)
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
        self.model.broken_refs.add(name)

    @precondition(lambda self: self.model.broken_refs)
    @rule()
    def set_broken_refs_aside(self) -> None:
        self._did("set broken refs aside")
        broken = list(self.store.broken_refs())
        assert len(broken) == len(self.model.broken_refs)
        for path, problem in broken:
            assert self.store.quarantine(path, problem) is not None
        self.model.quarantine += len(broken)
        for name in self.model.broken_refs:
            del self.model.refs[name]
        self.model.lost_refs |= self.model.broken_refs
        self.model.broken_refs.clear()

    # bundles

    @rule(names=st.sets(NAMES, min_size=1))
    def export(self, names: set[str]) -> None:
        given = {name: found for name in names if (found := self.model.given(name))}
        refs = {name: data for name in given if (data := self.model.recalled(name))}
        out = io.BytesIO()
        try:
            export_bundle(self.store, [key_of(name) for name in given], refs, out.write)
        except BrokenEntryError:
            self._did("export refused")
            assert any(thing.damage for _, thing in given.values())
        else:
            self._did("export")
            assert not any(thing.damage for _, thing in given.values())
            entries = {name: thing.turn for name, (_, thing) in given.items()}
            self.model.bundles = [*self.model.bundles[-2:], Bundle(out.getvalue(), entries, refs)]
        for name, (tier, _) in given.items():
            if tier == "own":
                self._uses(name)  # a lease was taken for the while

    @precondition(lambda self: self.model.bundles)
    @rule(data=st.data())
    def import_a_bundle(self, data: st.DataObject) -> None:
        self._did("import")
        bundle = data.draw(st.sampled_from(self.model.bundles))
        expected = {name: self._imports(name, turn) for name, turn in bundle.entries.items()}
        known = {*self.model.refs, *self.model.lower_refs, *self.model.broken_refs, *self.model.lost_refs}
        refs = bundle.refs.keys() - known
        report = import_bundle(self.store, io.BytesIO(bundle.data), Path("models.tar"))
        assert {_name_of(found.entry.key): found.state for found in report.entries} == expected
        assert set(report.refs) == refs
        for name in refs:
            self.model.refs[name] = bundle.refs[name]
        for name, state in expected.items():
            self._came(f"import: {state}")
            if state != "kept":
                self._uses(name)

    @precondition(lambda self: self.model.bundles)
    @rule(data=st.data(), at=st.integers(0, 1_000))
    def import_a_damaged_bundle(self, data: st.DataObject, at: int) -> None:
        """Its manifest is; then nothing at all is taken from it."""
        self._did("import refused")
        damaged = bytearray(data.draw(st.sampled_from(self.model.bundles)).data)
        damaged[at % 512 if at % 2 else 512 + at // 2] ^= 1
        try:
            import_bundle(self.store, io.BytesIO(damaged), Path("models.tar"))
        except BundleError:
            return
        raise AssertionError("a damaged bundle was imported")

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        model, store = self.model, self.store
        assert [entry.key for entry in store.entries()] == sorted(key_of(name) for name in _ALL if model.given(name))
        assert list(store.keys()) == sorted(key_of(name) for name in {*model.own, *model.lower})
        recalled = {name: data for name in _ALL if (data := model.recalled(name))}
        assert dict(store.refs()) == recalled
        assert [store.recall(name) for name in _ALL] == [model.recalled(name) for name in _ALL]
        usage = store.usage()
        assert usage.entries.count == len(model.own)
        assert usage.pinned == len(model.pins)
        assert usage.quarantine.count == model.quarantine
        assert (usage.rubbish.count, usage.staging.count) == (model.rubbish, model.elsewhere)
        assert {name for name in _ALL if store.is_pinned(key_of(name))} == model.pins
        assert files_under(self.folder / "lower") == self.lower_files  # never written to

    # what follows from what was done

    def _open(self) -> None:
        self.store = Store(self.folder / "cache", below=[self.folder / "lower"])

    def _next(self) -> int:
        self.turn += 1
        return self.turn

    def _did(self, what: str) -> None:
        self.done["steps"] += 1
        self.done[what] += 1

    def _came(self, what: str) -> None:
        self.done[what] += 1

    def _get(self, name: str) -> Entry | None:
        entry, given = self.store.get(key_of(name)), self.model.given(name)
        assert (entry is None) == (given is None)
        if entry is not None and given is not None:
            assert entry.record.about == {"name": name, "turn": given[1].turn}
            assert (entry.weights.read_bytes() == weights_of(name)) == (given[1].damage is None)
        return entry

    def _publishes(self, name: str, turn: int) -> None:
        thing = self.model.own.get(name)
        if thing is not None and thing.damage is None:
            return  # adopted
        if thing is not None:
            self.model.quarantine += 1
            self._came("replaced")
        else:
            self._came("grew")
        self.model.own[name] = Thing(turn)
        self._uses(name)

    def _imports(self, name: str, turn: int) -> str:
        """What becomes of an entry of a bundle; a flipped one that is in its way shows, and goes."""
        state = "replaced" if name in self.model.own else "imported"
        while (given := self.model.given(name)) is not None:
            if given[1].damage is None:
                return "kept"
            if given[0] == "own":
                self._sets_aside(name)
            else:
                self.model.passed_by.add(name)
        thing = self.model.own.get(name)
        if thing is not None:
            self.model.quarantine += 1
        else:
            self._came("grew")
        self.model.own[name] = Thing(turn)
        return state

    def _sets_aside(self, name: str) -> None:
        self.model.quarantine += 1
        self._came("set aside")
        self._shrinks(name)

    def _shrinks(self, name: str) -> None:
        if self.model.own.pop(name, None) is not None:
            self._came("shrank")

    def _uses(self, name: str) -> None:
        """The last use of an entry is now, by the machine's clock."""
        now = self.began + self._next() * _TICK
        folder = self.store.root / "v1" / "entries" / key_of(name)[:2] / key_of(name)
        os.utime(folder, (now, now))
        with suppress(FileNotFoundError):
            os.utime(self.store.root / "v1" / "used" / key_of(name), (now, now))
        self.model.own[name].used = now

    def _expected(self, size: int | None, age: float | None, keep: set[str]) -> Collection:
        """What a collection has to do: the quarantine first, then entries, the longest unused first."""
        quarantine = (self.store.root / "v1" / "quarantine").glob("*")
        aside = sorted((path.stat().st_mtime, path.name, _size(path)) for path in quarantine)
        entries = sorted((thing.used, key_of(name), name) for name, thing in self.model.own.items())
        entry_sizes = {name: _size(self.store.root / "v1" / "entries" / key[:2] / key) for _, key, name in entries}
        total = sum(item[2] for item in aside) + sum(entry_sizes.values())
        found = Collection(left=total)
        now = time.time()
        for when, item, bytes_ in aside:
            if (size is not None and found.left > size) or (age is not None and now - when > age):
                found.freed.append(item)
                found.left -= bytes_
        for when, key, name in entries:
            if (size is not None and found.left > size) or (age is not None and now - when > age):
                if name in keep or self.model.held(name):
                    found.spared.append(key)
                else:
                    found.freed.append(key)
                    found.left -= entry_sizes[name]
        return found


def run_machine(*, examples: int, steps: int, number: int | None = None, shrink: bool = True) -> Counter[str]:
    """What was done in so many runs of so many steps at most; AssertionError where the store and the model differ.

    number: of the seed; None: always the same runs. shrink: look for the shortest way to a difference.
    """
    StoreMachine.done = Counter()
    machine = StoreMachine if number is None else seed(number)(StoreMachine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None,
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=number is None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if shrink or phase not in (Phase.shrink, Phase.explain)],
        ),
    )
    return StoreMachine.done


def _damage(folder: Path, damage: str) -> None:
    record, weights = folder / "entry.json", folder / "weights.safetensors"
    whole = weights.read_bytes()
    if damage == "no record":
        record.unlink()
    elif damage == "half a record":
        record.write_bytes(record.read_bytes()[:50])
    elif damage == "cut":
        weights.write_bytes(whole[:-1])
    elif damage == "header":
        weights.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    elif damage == "flipped":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        weights.unlink()


def _size(folder: Path) -> int:
    return sum(files_under(folder).values())


def _name_of(key: str) -> str:
    return next(name for name in _ALL if key_of(name) == key)


@functools.cache
def _ended() -> Owner:
    """The owner that a process was which has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Owner(Owner.current().host, process.pid, 1)
