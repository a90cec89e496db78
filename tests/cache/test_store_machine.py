"""The store against a dict: whatever is done in whatever order, it holds what the dict holds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from depthhub_cache.errors import BrokenEntryError
from depthhub_cache.store import Store

from .samples import files_under, key_of, memory_folder, publish, weights_of

NAMES = st.sampled_from(["vits", "vitb", "vitl"])
DATA = st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=2)
DAMAGES = ["no record", "half a record", "cut", "flipped", "no weights"]


class StoreMachine(RuleBasedStateMachine):
    grew = shrank = 0

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=memory_folder()))
        self.store = Store(self.folder / "cache")
        self.entries: dict[str, int] = {}
        self.broken: dict[str, str] = {}
        self.refs: dict[str, dict[str, int]] = {}
        self.turn = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _is_none(self, name: str) -> bool:
        return name not in self.entries or self.broken.get(name, "flipped") != "flipped"

    @rule(name=NAMES, locked=st.booleans())
    def publish(self, name: str, locked: bool) -> None:
        self.turn += 1
        if locked:
            with self.store.lock(key_of(name)) as held:
                assert held
                entry = publish(self.store, name, turn=self.turn)
        else:
            entry = publish(self.store, name, turn=self.turn)
        if self._is_none(name):
            type(self).grew += name not in self.entries
            self.entries[name] = self.turn
            self.broken.pop(name, None)
        assert entry.record.about["turn"] == self.entries[name]

    @precondition(lambda self: self.broken)
    @rule(data=st.data())
    def publish_over_a_broken_one(self, data: st.DataObject) -> None:
        self.publish(data.draw(st.sampled_from(sorted(self.broken))), locked=False)

    @rule(name=NAMES)
    def get(self, name: str) -> None:
        entry = self.store.get(key_of(name))
        assert (entry is None) == self._is_none(name)
        if entry is not None:
            assert entry.record.about == {"name": name, "turn": self.entries[name]}
            assert (entry.weights.read_bytes() == weights_of(name)) == (name not in self.broken)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        freed = self.store.remove(key_of(name))
        assert (freed > 0) == (name in self.entries)
        type(self).shrank += name in self.entries
        self.entries.pop(name, None)
        self.broken.pop(name, None)

    @rule(name=NAMES, deep=st.booleans())
    def verify(self, name: str, deep: bool) -> None:
        damage = self.broken.get(name)
        sound = name in self.entries and (damage is None or (damage == "flipped" and not deep))
        if sound:
            self.store.verify(key_of(name), deep=deep)
        else:
            with pytest.raises(BrokenEntryError):
                self.store.verify(key_of(name), deep=deep)

    @rule(name=NAMES, damage=st.sampled_from(DAMAGES))
    def corrupt(self, name: str, damage: str) -> None:
        if name not in self.entries or name in self.broken:
            return
        entry = self.store.get(key_of(name))
        assert entry is not None
        record, whole = entry.path / "entry.json", entry.weights.read_bytes()
        if damage == "no record":
            record.unlink()
        elif damage == "half a record":
            record.write_bytes(record.read_bytes()[:50])
        elif damage == "cut":
            entry.weights.write_bytes(whole[:-1])
        elif damage == "flipped":
            entry.weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        else:
            entry.weights.unlink()
        self.broken[name] = damage

    @rule(name=NAMES, data=DATA)
    def remember(self, name: str, data: dict[str, int]) -> None:
        self.store.remember(name, data)
        self.refs[name] = data

    @rule(name=NAMES)
    def recall(self, name: str) -> None:
        assert self.store.recall(name) == self.refs.get(name)

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self.store.forget(name)
        self.refs.pop(name, None)

    @rule()
    def open_anew(self) -> None:
        self.store = Store(self.store.root)
        assert self.store.sweep() == 0

    @invariant()
    def it_holds_what_the_dict_holds(self) -> None:
        usable = sorted(key_of(name) for name in self.entries if not self._is_none(name))
        assert [entry.key for entry in self.store.entries()] == usable
        assert sorted(self.store.keys()) == sorted(key_of(name) for name in self.entries)
        assert dict(self.store.refs()) == self.refs
        assert files_under(self.store.root / "v1" / "tmp") == {}


def test_the_store_holds_what_a_dict_would_hold() -> None:
    StoreMachine.grew = StoreMachine.shrank = 0
    run_state_machine_as_test(
        StoreMachine, settings=settings(deadline=None, max_examples=60, stateful_step_count=30, derandomize=True)
    )
    assert min(StoreMachine.grew, StoreMachine.shrank) > 3
