"""The simulation is right where arithmetic knows the answer, and the project's own rules are what it simulates."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from depthhub.transfer import attempts
from fleet.answers import expected_grant, first_refusal, lucks
from fleet.assumptions import OWN_SERVER, PLANS, Plan
from fleet.costs import Costs, Measured, Requests, read_measured
from fleet.scenario import SETTINGS, VARIANTS, WAITS, Policy, Scenario
from fleet.world import simulate

MB = 1_000_000
COSTS = Costs(
    original=100 * MB, entry=90 * MB, half=45 * MB, record=0, intake=1e9, entry_intake=1e9, make=2.0, place=0.5
)
MEASURED = Measured(
    facts={},
    requests={"pinned": Requests(api=0, resolve=1, cdn=1), "branch": Requests(api=1, resolve=1, cdn=1)},
    gets=2,
    models={"model": COSTS},
)
AT_ONCE = Scenario(machines=20, model="model", spread=0.0, latency=0.0)
FEW = Plan("a small one", 10, 10, "address")
ALL_IN_ONE_WINDOW = 0.0
"""The phase with which a window begins as the fleet does."""


def test_a_machine_alone_takes_as_long_as_its_bytes_and_its_work():
    outcome = simulate(replace(AT_ONCE, machines=1, connection=((1.0, 50e6),)), MEASURED)
    assert outcome.warm == pytest.approx((100 / 50 + 2.0,))
    assert (outcome.hub.api, outcome.hub.resolve, outcome.hub.cdn) == (0, 1, 1)
    assert outcome.hub.bytes == pytest.approx(100 * MB)


def test_a_fleet_behind_one_line_takes_as_long_as_all_its_bytes():
    outcome = simulate(replace(AT_ONCE, addresses=1, address_bandwidth=40e6), MEASURED)
    assert outcome.warm == pytest.approx([20 * 100 / 40 + 2.0] * 20)


def test_a_fleet_takes_a_stores_bytes_as_fast_as_it_sends_them():
    store = replace(OWN_SERVER, connection=1e9, bandwidth=30e6, latency=0.0)
    outcome = simulate(replace(AT_ONCE, way="store", store=store), MEASURED)
    assert outcome.warm == pytest.approx([20 * 90 / 30 + 0.5] * 20)
    assert (outcome.store.gets, outcome.store.bytes) == (40, pytest.approx(20 * 90 * MB))
    assert (outcome.hub.resolve, outcome.hub.cdn) == (0, 0)


@pytest.mark.parametrize(("machines", "refused"), [(10, 0), (11, 1), (50, 40)])
def test_a_window_refuses_what_is_more_than_its_limit_and_those_give_up(machines, refused):
    scenario = replace(AT_ONCE, machines=machines, plan=FEW, addresses=1, spread=60.0)
    outcome = simulate(scenario, MEASURED, phase=ALL_IN_ONE_WINDOW)
    assert outcome.hub.refused == refused
    assert outcome.gave_up == ({"retry_after_limit": refused} if refused else {})
    assert len(outcome.warm) == machines - refused


def test_who_may_wait_for_the_window_comes_through_window_by_window():
    scenario = replace(AT_ONCE, machines=35, plan=FEW, addresses=1, policy=Policy(settings=WAITS))
    outcome = simulate(scenario, MEASURED, phase=ALL_IN_ONE_WINDOW)
    assert [int(moment // 300) for moment in outcome.warm] == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 5
    assert outcome.hub.refused == 25 + 15 + 5


def test_nobody_is_refused_five_times():
    """The rule has five tries: who has not been granted in five windows gives up."""
    scenario = replace(AT_ONCE, machines=60, plan=FEW, addresses=1, policy=Policy(settings=WAITS))
    outcome = simulate(scenario, MEASURED, phase=ALL_IN_ONE_WINDOW)
    assert attempts.PATIENCE == 5
    assert (len(outcome.warm), outcome.gave_up) == (50, {"tries": 10})


def test_each_address_has_a_limit_and_a_token_has_one_for_all_addresses():
    fleet = replace(AT_ONCE, machines=40, addresses=None, plan=FEW)
    assert simulate(fleet, MEASURED).hub.refused == 0
    of_a_token = FEW._replace(shared_by="account")
    assert simulate(replace(fleet, plan=of_a_token), MEASURED).hub.refused == 30


def test_without_jitter_all_come_back_as_one_and_with_it_they_do_not():
    plan = Plan("of a thousand a quarter has to come back", 750, 750, "address")
    scenario = VARIANTS["hub-1"].scenario(1_000, "model", plan=plan, policy=Policy(settings=WAITS, spread=0.0))
    as_one = simulate(scenario, MEASURED, phase=150.0).hub.by_second
    spread_out = simulate(replace(scenario, policy=Policy(settings=WAITS)), MEASURED, phase=150.0).hub.by_second
    assert max(count for second, count in as_one.items() if second > 60) > 150
    assert max(count for second, count in spread_out.items() if second > 60) < 25
    assert sum(as_one.values()) == sum(spread_out.values())


def test_a_supervisor_starts_again_what_has_failed():
    scenario = replace(AT_ONCE, machines=15, plan=FEW, addresses=1)
    restarted = replace(scenario, policy=Policy(restarts=(10.0, 100.0, 200.0)))
    assert len(simulate(scenario, MEASURED, phase=ALL_IN_ONE_WINDOW).warm) == 10
    assert len(simulate(restarted, MEASURED, phase=ALL_IN_ONE_WINDOW).warm) == 15


def test_of_those_who_share_a_cache_one_works():
    outcome = simulate(replace(AT_ONCE, workers=8), MEASURED)
    assert outcome.workers == len(outcome.warm) == 160
    assert outcome.hub.resolve == outcome.hub.cdn == 20


def test_who_waits_too_long_for_a_lock_does_the_same_work_again():
    slow = replace(AT_ONCE, machines=1, workers=3, connection=((1.0, 100 * MB / 400),))
    assert SETTINGS.lock_timeout < 400
    assert simulate(slow, MEASURED).hub.cdn == 3
    patient = Policy(settings=SETTINGS._replace(lock_timeout=500.0))
    assert simulate(replace(slow, policy=patient), MEASURED).hub.cdn == 1


def test_a_store_that_is_too_slow_sends_the_fleet_to_the_hub_and_what_came_is_lost():
    store = replace(OWN_SERVER, bandwidth=20 * 90 * MB / 4_000, latency=0.0)
    outcome = simulate(replace(AT_ONCE, way="store", store=store), MEASURED)
    assert SETTINGS.total_timeout == 3_600
    assert min(outcome.warm) > 3_600
    assert outcome.store.bytes == pytest.approx(20 * 90 * MB * 3_600 / 4_000)
    assert outcome.hub.bytes == pytest.approx(20 * 100 * MB)


def test_a_store_that_has_not_got_it_costs_one_request_and_the_hub_is_asked():
    outcome = simulate(replace(AT_ONCE, way="store", filled="never"), MEASURED)
    assert (outcome.store.gets, outcome.store.missed, outcome.hub.cdn) == (20, 20, 20)


def test_a_store_that_is_filled_meanwhile_serves_who_comes_later():
    scenario = replace(AT_ONCE, machines=600, way="store", filled="at-the-start", spread=60.0)
    outcome = simulate(scenario, MEASURED)
    assert outcome.store.puts == 2
    assert 0 < outcome.store.missed < 120
    assert outcome.hub.cdn == outcome.store.missed + 1  # and the job that fills it


def test_a_store_that_is_asked_too_much_at_once_is_asked_once_more_and_then_left():
    busy = replace(OWN_SERVER, gets=10, tries=2, latency=0.0)
    outcome = simulate(replace(AT_ONCE, way="store", store=busy, spread=2.0), MEASURED)
    assert outcome.store.refused > outcome.hub.cdn  # some had better luck the second time
    assert 0 < outcome.hub.cdn < 20
    assert len(outcome.warm) == 20


def test_what_is_in_the_image_asks_nobody():
    outcome = simulate(replace(AT_ONCE, way="image"), MEASURED)
    assert (outcome.warm, outcome.hub.resolve, outcome.store.gets) == ((0.0,) * 20, 0, 0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_machine_gets_warm_or_gives_up_and_the_same_seed_gives_the_same(name):
    measured = read_measured()
    scenario = VARIANTS[name].scenario(60, "vits", plan=FEW)
    first, again, other = (simulate(scenario, measured, seed=seed, phase=100.0) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first.warm) + first.gave_up.total() == 60


def test_the_first_refusal_comes_where_arithmetic_says():
    scenario = VARIANTS["hub-1-branch"].scenario(1, "model")
    assert expected_grant(scenario, MEASURED) == PLANS["anonymous"].api
    assert first_refusal(scenario, MEASURED) == PLANS["anonymous"].api + 1


def test_the_first_refusal_comes_sooner_where_chance_fills_one_address_before_the_others():
    scenario = VARIANTS["hub-10"].scenario(1, "model", plan=FEW)
    assert expected_grant(scenario, MEASURED) == 100
    assert 10 < first_refusal(scenario, MEASURED) < 100


def test_windows_begin_evenly_over_their_length():
    assert [luck.phase for luck in lucks(5, seed=0, window=300)] == [30, 90, 150, 210, 270]


def test_the_rule_is_itself_again_after_a_simulation():
    before = attempts.SPREAD
    simulate(replace(AT_ONCE, policy=Policy(spread=0.9)), MEASURED)
    assert (attempts.time, attempts.random, attempts.SPREAD) == (time, random, before)
