"""Bytes on shared links move as theory says: processor sharing on one link, max-min fairness on several."""

from __future__ import annotations

import math

import pytest
import simpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.network import Link, Network


class Race:
    """Transfers, and when each was done."""

    def __init__(self) -> None:
        self.env = simpy.Environment()
        self.network = Network(self.env)
        self.ended: dict[str, float] = {}

    def add(self, name, size, *, limit=math.inf, links=(), at=0.0):
        def move():
            yield self.env.timeout(at)
            yield self.network.transfer(size, limit=limit, links=links).done
            self.ended[name] = self.env.now

        self.env.process(move())

    def run(self):
        self.env.run()
        return self.ended


def test_a_transfer_alone_has_its_own_limit():
    race = Race()
    race.add("one", 1000, limit=50)
    race.add("other", 1000, limit=100)
    assert race.run() == pytest.approx({"one": 20, "other": 10})


def test_all_who_share_a_link_have_the_same_part_of_it():
    race, link = Race(), Link("link", 10)
    for number in range(8):
        race.add(str(number), 100, links=[link])
    assert list(race.run().values()) == pytest.approx([80] * 8)
    assert link.carried == pytest.approx(800)


def test_who_comes_later_slows_the_others_down_from_then_on():
    race, link = Race(), Link("link", 10)
    race.add("first", 100, links=[link])  # 40 bytes alone, 60 at half the speed: 4 + 12
    race.add("second", 100, links=[link], at=4)  # 60 until then, 40 alone: 16 + 4
    assert race.run() == pytest.approx({"first": 16, "second": 20})


def test_what_one_cannot_use_the_others_have():
    race, link = Race(), Link("link", 10)
    race.add("slow", 20, limit=2, links=[link])
    race.add("fast", 80, links=[link])
    assert race.run() == pytest.approx({"slow": 10, "fast": 10})


def test_a_transfer_over_two_links_is_held_back_by_the_fuller_one():
    race, narrow, wide = Race(), Link("narrow", 6), Link("wide", 10)
    race.add("both", 30, links=[narrow, wide])  # 3 of the narrow link: half of it
    race.add("narrow", 30, links=[narrow])
    race.add("wide", 70, links=[wide])  # the 7 that are left
    assert race.run() == pytest.approx({"both": 10, "narrow": 10, "wide": 10})


def test_a_transfer_that_is_cut_tells_how_far_it_came_and_leaves_its_part_to_the_others():
    race, link = Race(), Link("link", 10)
    race.add("stays", 100, links=[link])
    moved = []

    def give_up():
        transfer = race.network.transfer(100, limit=math.inf, links=[link])
        yield race.env.timeout(6)
        moved.append(race.network.cut(transfer))

    race.env.process(give_up())
    assert race.run() == pytest.approx({"stays": 13})  # 30 in 6 seconds, 70 alone
    assert moved == pytest.approx([30])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(sizes=st.lists(st.integers(1, 10**9), min_size=1, max_size=12), capacity=st.integers(1, 10**7))
def test_processor_sharing_ends_when_the_formula_says(sizes, capacity):
    """Of those who begin together the k-th is done once all who are smaller are, and all others have got as much."""
    race, link = Race(), Link("link", capacity)
    for number, size in enumerate(sizes):
        race.add(str(number), size, links=[link])
    expected, now, before = [], 0.0, 0
    for place, size in enumerate(sorted(sizes)):
        now += (size - before) * (len(sizes) - place) / capacity
        before = size
        expected.append(now)
    assert sorted(race.run().values()) == pytest.approx(expected, rel=1e-6, abs=1e-2)
    assert link.carried == pytest.approx(sum(sizes), rel=1e-6, abs=0.1)
