"""What the trials are built on does what it says: the recorders, the disk that loses things, the strange inputs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from trials.fsync import Recording, record_act
from trials.lossy_disk import PAGE, Cut, History, State
from trials.mutations import Mutator
from trials.publications import ACTS
from trials.system_calls import Call, strace_works

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.skipif(not strace_works(), reason="no strace here")
@pytest.mark.parametrize("act", ["publish", "replace a broken entry", "import a bundle"])
def test_both_recorders_tell_the_same(act: str, tmp_path: Path) -> None:
    # names of the same length: a reason has its path in it
    by_strace = record_act(act, tmp_path / "strace", strace=True)
    by_wrapping = record_act(act, tmp_path / "python", strace=False)
    assert _shape(by_strace) == _shape(by_wrapping)
    assert list(by_strace.unexplained()) == list(by_wrapping.unexplained()) == []
    assert len(by_strace.ends) == len(ACTS[act].steps)


def _shape(recording: Recording) -> list[tuple[str, int]]:
    """Without names, which are drawn anew each time."""
    return [(call.what, len(call.data)) for call in recording.calls]


FULL, HALF = b"x" * 2 * PAGE, b"x" * PAGE + bytes(PAGE)


def states_after(*calls: Call, before: State | None = None) -> list[State]:
    history = History(before or {}, calls, hidden="tmp")
    chance = random.Random(1)
    cut = Cut(history, len(calls))
    return [*cut.states(most=64, draws=4, chance=chance), *cut.ordered_states(chance=chance)]


def call(what: str, path: str, other: str = "", *, data: bytes = b"") -> Call:
    return Call(what=what, path=path, other=other, data=data)


WRITTEN = (call("create", "a"), call("write", "a", data=FULL))
SYNCED = (*WRITTEN, call("sync", "a"))


def test_what_was_not_synced_may_be_lost_in_whole_and_in_part() -> None:
    found = states_after(*WRITTEN)
    for state in ({}, {"a": b""}, {"a": FULL}, {"a": bytes(2 * PAGE)}, {"a": HALF}):
        assert state in found


def test_a_synced_file_keeps_its_data_and_may_lose_its_name() -> None:
    found = states_after(*SYNCED)
    assert {} in found
    assert {"a": FULL} in found
    assert all(state in ({}, {"a": FULL}) for state in found)


def test_a_synced_folder_keeps_its_names() -> None:
    assert all("a" in state for state in states_after(*WRITTEN, call("sync", ".")))
    assert all(state == {"b": FULL} for state in states_after(*SYNCED, call("move", "a", "b"), call("sync", ".")))


def test_a_name_may_come_before_what_is_in_the_folder() -> None:
    gathered = (call("mkdir", "tmp/new"), call("move", "a", "tmp/new/a"), call("move", "tmp/new", "entry"))
    before: State = {"a": FULL, "tmp": None}
    found = states_after(*gathered, call("sync", "."), before=before)
    assert {"entry": None, "tmp": None} not in found  # the move of the file was in the folder that was synced
    made = (call("mkdir", "tmp/new"), call("create", "tmp/new/a"), call("move", "tmp/new", "entry"), call("sync", "."))
    assert {"entry": None, "tmp": None} in states_after(*made, before={"tmp": None})


def test_an_exchange_happens_whole_or_not_at_all() -> None:
    before: State = {"a": b"1", "b": b"2"}
    found = states_after(call("exchange", "a", "b"), before=before)
    assert {tuple(sorted(state.items())) for state in found} == {
        (("a", b"1"), ("b", b"2")),
        (("a", b"2"), ("b", b"1")),
    }


@pytest.mark.parametrize("change", [lambda m: m.bytes(b'{"a": [1, 2]}', [b"{}"]), lambda m: m.json({"a": [1, "x"]})])
def test_the_same_seed_makes_the_same_strange_inputs(change: Callable[[Mutator], object]) -> None:
    one, other = (Mutator(random.Random(7), tokens=[b"token"]) for _ in range(2))
    assert [change(one) for _ in range(200)] == [change(other) for _ in range(200)]
