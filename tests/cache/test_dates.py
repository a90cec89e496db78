"""Every time that a file can have is a date."""

from __future__ import annotations

import os

import pytest

from depthhub_cache.dates import date_of
from depthhub_cache.store import Store

from .samples import key_of, publish


@pytest.mark.parametrize(
    ("moment", "date"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        (-1, "1969-12-31T23:59:59+00:00"),
        (1_000_000_000.25, "2001-09-09T01:46:40.250000+00:00"),
        (-62_135_596_800, "0001-01-01T00:00:00+00:00"),
        (-62_135_596_801, "0001-01-01T00:00:00+00:00"),
        (253_402_300_799, "9999-12-31T23:59:59+00:00"),
        (253_402_300_800, "9999-12-31T23:59:59+00:00"),
        (1e12, "9999-12-31T23:59:59+00:00"),
        (-(2.0**63), "0001-01-01T00:00:00+00:00"),
        (2.0**63, "9999-12-31T23:59:59+00:00"),
    ],
)
def test_a_time_is_the_date_nearest_to_it_that_a_calendar_has(moment: float, date: str) -> None:
    assert date_of(moment).isoformat() == date


@pytest.mark.parametrize(("moment", "year"), [(10**12, 9999), (-(10**11), 1)])
def test_what_a_clock_gone_wrong_dates_is_shown_all_the_same(store: Store, moment: int, year: int) -> None:
    entry = publish(store, "vits")
    store.lease(entry).release()
    place = store.quarantine(publish(store, "broken").path, "why")
    assert place is not None
    for path in (entry.path, store.root / "v1" / "used" / entry.key, place):
        try:
            os.utime(path, (moment, moment))
        except (OSError, OverflowError):
            pytest.skip("this system has no such time")
        if path.stat().st_mtime != moment:
            pytest.skip("this file system keeps no such time")
    assert store.last_use(key_of("vits")).year == year
    [item] = store.set_aside()
    assert item.since[:4] == f"{year:04}"
