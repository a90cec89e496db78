"""A fixed window grants its limit, refuses the rest, and says when it ends."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.quota import FixedWindow

relaxed = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine


@relaxed
@given(limit=st.integers(0, 50), asked=st.integers(0, 200))
def test_what_is_more_than_the_limit_is_refused(limit, asked):
    window = FixedWindow(limit, 300)
    refused = sum(window.take(number / 1000) is not None for number in range(asked))
    assert refused == max(0, asked - limit)


def test_a_refusal_says_how_long_the_window_still_lasts():
    window = FixedWindow(1, 300, phase=20)
    assert window.take(100) is None
    assert window.take(120) == pytest.approx(200)
    assert window.take(319) == pytest.approx(1)


@relaxed
@given(phase=st.floats(0, 300), now=st.floats(0, 10_000))
def test_who_waits_as_long_as_he_was_told_is_granted(phase, now):
    window = FixedWindow(1, 300, phase=phase)
    window.take(now)
    left = window.take(now)
    assert left is not None
    assert 0 < left <= 300 * (1 + 1e-6)
    assert window.take(now + left) is None


def test_no_limit_refuses_nobody():
    window = FixedWindow(math.inf, 1)
    assert all(window.take(0.5) is None for _ in range(10_000))
