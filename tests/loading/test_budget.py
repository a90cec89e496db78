"""The standing budget: what is collected after something was made."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import pytest

from depthhub import SettingsError, from_pretrained, prewarm
from depthhub.testing import make_checkpoint
from depthhub_cache.store import Store

from .entries import entry_in, prewarmed


def set_last_use(cache: Path, moment: float) -> None:
    """Of the only entry."""
    entry = entry_in(cache)
    for path in (entry.path, cache / "v1" / "used" / entry.key):
        if path.exists():
            os.utime(path, (moment, moment))


def names_in(cache: Path) -> set[str]:
    return {str(entry.record.about["recipe"]["build"]["family"]) for entry in Store(cache).entries()}


def test_after_a_conversion_the_standing_budget_is_kept(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = prewarmed(tiny).stat().st_size
    set_last_use(cache, 1_000_000_000)
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", str(size * 3))
    prewarm([tiny], family="v1")
    assert names_in(cache) == {"v1", "v2"}
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", f"{size * 2.5:.0f}B")
    prewarm([tiny], family="v2-metric", max_depth=20)
    assert names_in(cache) == {"v1", "v2-metric"}


def test_what_was_not_used_for_long_goes_after_a_conversion(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prewarmed(tiny)
    set_last_use(cache, time.time() - 31 * 86_400)
    monkeypatch.setenv("DEPTHHUB_MAX_AGE", "30d")
    prewarm([tiny], family="v1")
    assert names_in(cache) == {"v1"}


def test_a_budget_too_small_for_one_model_keeps_what_was_just_made(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", "0")
    first = from_pretrained(tiny, family="v2")
    assert names_in(cache) == {"v2"}
    from_pretrained(tiny, family="v1")
    assert names_in(cache) == {"v1", "v2"}, "a living model keeps its entry"
    del first
    gc.collect()
    prewarm([tiny], family="v2-metric", max_depth=20)
    assert names_in(cache) == {"v2-metric"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("DEPTHHUB_MAX_SIZE", "much"), ("DEPTHHUB_MAX_AGE", "90"), ("DEPTHHUB_MAP_WEIGHTS", "perhaps")],
)
def test_a_setting_that_cannot_be_is_an_error_that_names_it(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: '{value}' is n"):
        from_pretrained(tiny, family="v2")
    assert not cache.exists()


def test_what_one_call_asks_for_is_there_when_it_ends_whatever_the_budget(
    tiny: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [make_checkpoint(tmp_path / f"{seed}.pth", encoder="tiny", seed=seed) for seed in (1, 2)]
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", "1MB")
    assert all(done.path.exists() for done in prewarm([tiny, *others], family="v2"))
    prewarm([tiny], family="v1")
    assert len(list(Store(cache).entries())) == 1
