"""Calls that take turns: who goes on when is decided by the plan and by chance, and by nothing else."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trials.children import Tell, in_a_child
from trials.turns import Killed, Plan, Turns, watch_steps

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the trials fork")

Order = list[str]


def taken(root: Path, plan: Plan, *, seed: int = 1, calls: int = 3) -> tuple[Order, list[Any], Turns]:
    """In which order so many calls made their folders, four each, and how each call ended."""
    order: Order = []
    turns = Turns(plan, random.Random(seed), root)

    def call(number: int) -> Callable[[], str]:
        def make() -> str:
            for step in range(4):
                (root / f"{number}{step}").mkdir()
                order.append(f"{number}{step}")
            return "made"

        return make

    return order, turns.take([call(number) for number in range(calls)]), turns


def in_order(root: Path, plan: Plan, *, seed: int = 1) -> Any:
    """The same in a process of its own, which is watched: the order, and the names of how the calls ended."""

    def work(_: Tell) -> tuple[Order, list[str], int]:
        watch_steps()
        root.mkdir()
        order, ends, turns = taken(root, plan, seed=seed)
        return order, [end if isinstance(end, str) else type(end).__name__ for end in ends], turns.refusals

    ended = in_a_child(work)
    assert ended.how == "done", ended
    return ended.value


def test_without_switches_one_call_ends_before_the_next_begins(tmp_path: Path) -> None:
    order, ends, _ = in_order(tmp_path / "a", Plan(few=False, switch=0.0))
    assert [name[0] for name in order] == [who for who in dict.fromkeys(name[0] for name in order) for _ in range(4)]
    assert ends == ["made"] * 3


@pytest.mark.parametrize("few", [True, False])
def test_the_same_chance_gives_the_same_order_and_another_one_another(tmp_path: Path, few: bool) -> None:
    plan = Plan(few=few, switch=0.6)
    one, again, other = (in_order(tmp_path / str(n), plan, seed=seed) for n, seed in enumerate((1, 1, 2)))
    assert one == again
    assert one[0] != other[0]


def test_a_call_that_is_held_up_goes_on_when_others_have_ended(tmp_path: Path) -> None:
    order, ends, _ = in_order(tmp_path / "a", Plan(few=True, switch=0.0, waits={(n, 2): 2 for n in range(2)}))
    assert [name for name in order if name[0] == "2"] == ["20", "21", "22", "23"]
    assert order.index("23") < min(order.index("11"), order.index("01"))
    assert ends == ["made"] * 3


def test_a_call_that_is_killed_changes_nothing_any_more(tmp_path: Path) -> None:
    order, ends, _ = in_order(tmp_path / "a", Plan(few=True, switch=0.6, killed=(1, 3)))
    assert [name for name in order if name[0] == "1"] == ["10", "11"]
    assert ends == ["made", Killed.__name__, "made"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(order)


def test_what_is_refused_is_an_error_of_the_system(tmp_path: Path) -> None:
    order, ends, refusals = in_order(tmp_path / "a", Plan(few=True, switch=0.0, refused=1.0))
    assert (order, refusals) == ([], 3)
    assert all(issubclass(getattr(__import__("builtins"), name), OSError) for name in ends)


def test_who_waits_for_what_another_holds_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trials.turns._PATIENCE", 0.05)

    def work(_: Tell) -> tuple[list[Any], int]:
        import threading

        watch_steps()
        held = threading.Lock()

        def holder() -> str:
            with held:
                (tmp_path / "held").mkdir()
            return "made"

        def waiter() -> str:
            with held:
                return "waited"

        turns = Turns(Plan(few=True, switch=0.0, waits={(0, 1): 1}), random.Random(1), tmp_path)
        return turns.take([holder, waiter]), turns.out_of_turn

    ended = in_a_child(work)
    assert ended.how == "done", ended
    assert ended.value[0] == ["made", "waited"]
