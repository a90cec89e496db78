"""`cache gc`: what goes, what stays, and why."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import pytest


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)


def quarantine_of(cache: Path) -> list[Path]:
    return sorted((cache / "v1" / "quarantine").glob("*"))


@pytest.fixture
def aged(depthhub, tiny, weights, cache) -> Path:
    """The cache with an entry that nobody used for 100 days, and a newer one."""
    depthhub("pull", tiny, "--family", "v1")
    moment = time.time() - 100 * 86_400
    for path in (weights.parent, cache / "v1" / "used" / weights.parent.name):
        if path.exists():
            os.utime(path, (moment, moment))
    return cache


def test_gc_without_a_budget_removes_nothing_and_says_what_is_left(depthhub, aged, weights):
    outcome = depthhub("cache", "gc")
    assert (outcome.code, outcome.out) == (0, "")
    assert f"left in {aged}" in outcome.err
    assert weights.exists()


def test_gc_says_in_a_table_what_goes_and_why(depthhub, aged, weights, tiny):
    outcome = depthhub("cache", "gc", "--max-age", "90d")
    assert outcome.code == 0
    header, row = outcome.out.splitlines()
    assert header.split() == ["WHAT", "KIND", "NAME", "SIZE", "WHY"]
    assert row.split()[:2] == ["freed", "entry"]
    assert f"{tiny} ({weights.parent.name[:12]})" in row
    assert row.endswith("not used for 100.0 days")
    assert "freed" in outcome.err
    assert not weights.exists()
    assert len(depthhub("cache", "list", "--json").json) == 1


def test_gc_in_a_dry_run_says_what_would_go_and_removes_nothing(depthhub, aged, weights):
    dry = depthhub("cache", "gc", "--max-size", "0", "--dry-run", "--json")
    assert dry.code == 0
    assert dry.json["dry_run"] is True
    assert weights.exists()
    assert "would go" in depthhub("cache", "gc", "--max-size", "0", "-n").out
    assert "would be freed" in depthhub("cache", "gc", "--max-size", "0", "-n").err
    done = depthhub("cache", "gc", "--max-size", "0", "--json").json
    assert done == dry.json | {"dry_run": False}
    assert not weights.exists()


def test_gc_in_json_says_all_that_the_collection_says(depthhub, aged, weights):
    depthhub("cache", "pin", weights.parent.name)
    facts = depthhub("cache", "gc", "--max-size", "1kB", "--json").json
    assert set(facts) == {"freed", "spared", "swept", "bytes", "dry_run", "freed_bytes", "refused"}
    [freed], [spared] = facts["freed"], facts["spared"]
    assert freed["item"]["kind"] == spared["item"]["kind"] == "entry"
    assert (spared["item"]["name"], spared["why"]) == (weights.parent.name, "pinned")
    assert facts["freed_bytes"] == freed["item"]["bytes"] > 8_000_000
    assert facts["bytes"] == spared["item"]["bytes"]


def test_gc_that_cannot_free_enough_says_what_is_in_the_way(depthhub, aged, weights):
    depthhub("cache", "pin", weights.parent.name)
    outcome = depthhub("cache", "gc", "--max-size", "1 kB")
    assert outcome.code == 0
    assert "pinned" in outcome.out
    assert "more than the 1 kB asked for: what was spared is in the way" in outcome.err


def test_gc_spares_what_a_running_process_has_open(depthhub, weights, tiny):
    from depthhub import from_pretrained

    model = from_pretrained(tiny, family="v2")
    outcome = depthhub("cache", "gc", "--max-size", "0")
    assert f"in use by process {os.getpid()} on " in outcome.out
    assert weights.exists()
    del model
    gc.collect()
    depthhub("cache", "gc", "--max-size", "0")
    assert not weights.exists()


def test_gc_takes_the_standing_budget_where_none_is_given(depthhub, aged, weights, monkeypatch):
    monkeypatch.setenv("DEPTHHUB_MAX_AGE", "200d")
    depthhub("cache", "gc")
    assert weights.exists()
    monkeypatch.setenv("DEPTHHUB_MAX_AGE", "90d")
    depthhub("cache", "gc", "--max-size", "1GB")  # what is given goes before it
    assert weights.exists()
    depthhub("cache", "gc")
    assert not weights.exists()


def test_gc_removes_what_is_in_the_quarantine_first(depthhub, aged, weights):
    flip_a_bit(weights)
    depthhub("verify", "--deep")
    [freed] = depthhub("cache", "gc", "--max-size", "10MB", "--json").json["freed"]
    assert freed["item"]["kind"] == "quarantine"
    assert quarantine_of(aged) == []


def test_gc_of_a_cache_that_is_not_there_is_fine(depthhub, tmp_path):
    outcome = depthhub("cache", "gc", "--max-size", "0", "--cache-dir", tmp_path / "none", "--json")
    assert outcome.code == 0
    assert (outcome.json["freed"], outcome.json["bytes"]) == ([], 0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--max-size", "much", "'much' is not a size; write 20GB"),
        ("--max-size", "-1", "is not a size"),
        ("--max-size", "", "'' is not a size"),
        ("--max-age", "90", "'90' is not an age; write 90d"),
        ("--max-age", "20GB", "'20GB' is not an age"),
    ],
)
def test_gc_refuses_what_is_no_size_and_no_age(depthhub, weights, option, text, said):
    outcome = depthhub("cache", "gc", f"{option}={text}")
    assert outcome.code == 2
    assert said in outcome.err
    assert weights.exists()


@pytest.mark.parametrize("name", ["DEPTHHUB_MAX_SIZE", "DEPTHHUB_MAX_AGE"])
def test_a_standing_budget_that_is_none_is_refused_by_name(depthhub, weights, monkeypatch, name):
    monkeypatch.setenv(name, "much")
    outcome = depthhub("cache", "gc")
    assert outcome.code == 2
    assert f"{name}: 'much' is not a" in outcome.err
    assert weights.exists()
