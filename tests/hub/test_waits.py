"""Those who are told the same instant do not come back at it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from depthhub.errors import HubTimeoutError
from depthhub.transfer import attempts
from depthhub.transfer.attempts import SPREAD, Attempts
from depthhub.transfer.remote import Asked
from depthhub.transfer.setback import Setback

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """What the rule would have slept."""
    slept: list[float] = []
    monkeypatch.setattr(attempts, "time", SimpleNamespace(monotonic=time.monotonic, sleep=slept.append))
    return slept


def attempts_with(settings, **changes) -> Attempts:
    asked = Asked(
        endpoint="https://hub", repo_id="owner/repo", repo_type="model", revision="main", filename="w.pth", token=None
    )
    return Attempts(asked, settings._replace(**changes), lambda _: None)


def test_a_fleet_that_is_told_the_same_wait_comes_back_one_after_the_other(settings, pauses):
    for _ in range(500):
        attempts_with(settings, retry_after_limit=60.0, total_timeout=3600.0).recover(
            Setback("the Hub answered 429", status=429, retry_after=40.0)
        )
    assert min(pauses) >= 40.0  # nobody comes before it may
    assert max(pauses) <= 40.0 * (1 + SPREAD)
    seconds = [int(pause) for pause in pauses]
    assert len(set(seconds)) == 40.0 * SPREAD
    assert max(map(seconds.count, seconds)) < 100


def test_the_limit_is_of_what_the_server_asks_for_not_of_what_chance_adds(settings, pauses):
    setback = Setback("the Hub answered 429", status=429, retry_after=60.0)
    attempts_with(settings, retry_after_limit=60.0, total_timeout=3600.0).recover(setback)
    assert len(pauses) == 1
    with pytest.raises(HubTimeoutError, match="asks to wait 60 s"):
        attempts_with(settings, retry_after_limit=59.0, total_timeout=3600.0).recover(setback)


def test_what_chance_adds_does_not_outlast_the_total_limit(settings, pauses):
    setback = Setback("the Hub answered 503", status=503, retry_after=50.0)
    with pytest.raises(HubTimeoutError, match="DEPTHHUB_TOTAL_TIMEOUT"):
        attempts_with(settings, retry_after_limit=60.0, total_timeout=50.0).recover(setback)
    assert pauses == []
