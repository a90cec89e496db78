"""`cache list`, `info`, `remove` and `quarantine`: what is there, what holds it, and removing it."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from depthhub.testing import LocalHub
from depthhub_cache import disk
from depthhub_cache.identity import ContentHash, make_key
from depthhub_cache.store import Store

from .conftest import flip_a_bit

on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])
V2 = ("--family", "v2")


def test_cache_list_shows_entries(depthhub, weights, tiny):
    line = depthhub("cache", "list").out.splitlines()[1]
    assert line.split()[:4] == [str(tiny), "v2", "as", "released"]
    (entry,) = depthhub("cache", "list", "--json").json
    assert entry["path"] == str(weights)
    assert entry["record"]["about"]["recipe"]["build"]["family"] == "v2"


@pytest.mark.parametrize("verb", [("verify",), ("cache", "pin"), ("cache", "remove")])
def test_a_key_that_is_cut_too_short_is_told_so(depthhub, weights, verb):
    key = weights.parent.name
    outcome = depthhub(*verb, key[:7])
    assert outcome.code != 0
    assert f"{key[:7]} is too short for a key: write 8 digits" in outcome.err
    depthhub("cache", "pin", key)
    shutil.rmtree(weights.parent)
    assert f"{key[:7]} is too short for a key" in depthhub("cache", "unpin", key[:7]).err
    assert "Unknown model" in depthhub(*verb, "0" * 7 if key[0] != "0" else "1" * 7).err


def test_cache_list_shows_what_is_broken_too(depthhub, weights, tiny):
    weights.write_bytes(b"cut")
    (entry,) = depthhub("cache", "list", "--json").json
    assert (entry["key"], entry["path"]) == (weights.parent.name, str(weights.parent))
    assert "3 bytes instead of" in entry["error"]["message"]
    row = depthhub("cache", "list").out.splitlines()[1].split()
    assert (row[0], row[-1]) == (str(tiny), "broken")
    (weights.parent / "entry.json").write_text("{")
    assert str(tiny) not in depthhub("cache", "list").out


def test_cache_list_of_an_empty_cache_says_so(depthhub, cache):
    outcome = depthhub("cache", "list", "--json")
    assert outcome.json == []
    assert str(cache) in outcome.err


def test_cache_info_says_where_and_how_much(depthhub, weights, cache):
    facts = depthhub("cache", "info", "--json").json
    assert facts["path"] == str(cache)
    assert facts["entries"]["count"] == 1
    assert facts["bytes"] >= facts["entries"]["bytes"] > weights.stat().st_size
    assert str(cache) in depthhub("cache", "info").out


def test_cache_remove_takes_the_beginning_of_a_key_or_a_source(depthhub, weights, tiny, cache):
    key = weights.parent.name
    dry = depthhub("cache", "remove", key[:8], "--dry-run")
    assert dry.code == 0
    assert key in dry.out
    assert weights.exists()
    outcome = depthhub("cache", "remove", key[:8], "--json")
    assert outcome.json[0]["freed"] > 0
    assert not weights.exists()
    depthhub("pull", tiny, *V2)
    assert depthhub("cache", "remove", tiny, *V2).code == 0
    assert not weights.exists()


def test_cache_remove_takes_away_a_broken_entry(depthhub, weights):
    (weights.parent / "entry.json").write_text("{")
    assert depthhub("cache", "remove", weights.parent.name).code == 0
    assert not weights.parent.exists()


def test_cache_remove_of_what_is_not_there_is_an_error_and_the_others_go(depthhub, weights):
    outcome = depthhub("cache", "remove", "0123456789ab", weights.parent.name)
    assert outcome.code == 3
    assert not weights.exists()


def test_cache_remove_all_empties_it(depthhub, weights, tiny):
    depthhub("pull", tiny, "--family", "v1")
    assert depthhub("cache", "remove", "--all", "vits").code == 2
    assert len(depthhub("cache", "remove", "--all", "--json").json) == 2
    assert json.loads(depthhub("cache", "list", "--json").out) == []


@pytest.mark.parametrize("about", [{}, {"name": None, "recipe": None}, {"name": "x", "recipe": {"build": []}}])
def test_an_entry_that_says_little_of_itself_is_listed_all_the_same(depthhub, cache, about):
    store = Store(cache)
    key = make_key(ContentHash("0" * 64), {})
    with store.stage() as staging:
        with staging.file("weights.safetensors") as file:
            file.write(b"\x02\0\0\0\0\0\0\0{}")
        store.publish(key, staging, about=about)
    line = depthhub("cache", "list").out.splitlines()[1]
    assert line.split()[:2] == [about.get("name") or "-", "-"]
    assert depthhub("list").code == 0
    outcome = depthhub("verify", "--json")
    assert (outcome.code, outcome.json[0]["source"]) == (0, about.get("name") or "-")


@on_loopback
def test_cache_info_counts_every_area(depthhub, local_hub: LocalHub, tiny, cache, monkeypatch):
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    depthhub("pull", "owner/repo/tiny.pth", *V2)
    depthhub("pull", "owner/repo/tiny.pth", "--family", "v1")
    first, second = sorted(cache.rglob("weights.safetensors"))
    depthhub("cache", "pin", first.parent.name)
    flip_a_bit(second)
    depthhub("verify", "--deep")
    rubbish = cache / "v1" / "tmp" / "elsewhere-1-1-aaaaaaaa"
    rubbish.mkdir()
    (rubbish / "part").write_bytes(b"half")
    for path in (rubbish / "part", rubbish):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    facts = depthhub("cache", "info", "--json").json
    areas = ("entries", "checkpoints", "refs", "quarantine", "staging", "rubbish")
    assert [facts[area]["count"] for area in areas] == [1, 1, 1, 1, 0, 1]
    assert facts["bytes"] == sum(facts[area]["bytes"] for area in areas)
    assert facts["rubbish"]["bytes"] == len(b"half")
    assert facts["checkpoints"]["bytes"] == tiny.stat().st_size
    assert facts["pinned"] == 1
    assert facts["free"] == pytest.approx(shutil.disk_usage(cache).free, rel=0.2)
    assert facts["budget"] == {"max_size": None, "max_age": None}
    assert facts["client_cache"] is None or facts["client_cache"]["bytes"] == 0
    lines = depthhub("cache", "info").out
    for word in ("entries", "kept checkpoints", "refs", "quarantine", "rubbish", "free"):
        assert word in lines
    assert "1 (4 B)" in lines


def test_cache_info_says_the_budget_and_what_is_below(depthhub, tiny, tmp_path, cache, monkeypatch):
    depthhub("pull", tiny, *V2, "--cache-dir", tmp_path / "below")
    monkeypatch.setenv("DEPTHHUB_CACHE", f"{cache}{os.pathsep}{tmp_path / 'below'}")
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", "20GB")
    monkeypatch.setenv("DEPTHHUB_MAX_AGE", "36h")
    facts = depthhub("cache", "info", "--json").json
    assert facts["below"] == {str(tmp_path / "below"): 1}
    assert facts["budget"] == {"max_size": 20_000_000_000, "max_age": 129_600.0}
    assert facts["entries"]["count"] == 0
    text = depthhub("cache", "info").out
    assert "20 GB" in text
    assert "1.5 days" in text
    assert f"below: {tmp_path / 'below'}" in text
    assert not cache.exists()


def test_remove_asks_for_force_where_an_entry_is_pinned(depthhub, pulled, cache):
    assert depthhub("cache", "pin", pulled).code == 0
    refused = depthhub("cache", "remove", pulled)
    assert refused.code == 8
    assert "is pinned. --force removes it all the same" in refused.err
    assert depthhub("cache", "remove", pulled, "-n").code == 8
    assert depthhub("cache", "remove", pulled, "--force").code == 0
    assert Store(cache).is_pinned(pulled) is False
    assert list(Store(cache).keys()) == []


def test_remove_asks_for_force_where_a_process_has_an_entry_open(depthhub, pulled, cache):
    store = Store(cache)
    lease = store.lease(store.get(pulled))
    assert "is in use by process" in depthhub("cache", "remove", pulled).err
    lease.release()
    assert depthhub("cache", "remove", pulled).code == 0


def test_remove_leaves_what_is_pinned_meanwhile_and_its_pin(depthhub, pulled, cache, monkeypatch):
    take_away = disk.take_away

    def while_another_pins_it(path: Path, to: Path) -> bool:
        Store(cache).pin(pulled)
        return take_away(path, to)

    monkeypatch.setattr(disk, "take_away", while_another_pins_it)
    refused = depthhub("cache", "remove", pulled)
    assert refused.code == 8
    assert "is pinned" in refused.err
    assert Store(cache).is_pinned(pulled)
    assert Store(cache).get(pulled) is not None


def test_remove_says_that_a_tier_below_is_only_read(depthhub, pulled, cache, tmp_path):
    roots = f"{tmp_path / 'own'}{os.pathsep}{cache}"
    refused = depthhub("cache", "remove", pulled, "--cache-dir", roots)
    assert refused.code == 8
    assert "in a tier that is only read; it is not removed" in refused.err
    assert "0 removed" in depthhub("cache", "remove", "--all", "--cache-dir", roots).err
    [entry] = depthhub("cache", "list", "--json", "--cache-dir", roots).json
    assert entry["held"] == f"read only, in {cache}"
    assert Store(cache).get(pulled) is not None


def test_list_says_when_an_entry_was_used_and_what_holds_it(depthhub, pulled, cache):
    depthhub("cache", "pin", pulled)
    [entry] = depthhub("cache", "list", "--json").json
    assert entry["held"] == "pinned"
    assert datetime.now(timezone.utc) - datetime.fromisoformat(entry["last_used"]) < timedelta(minutes=5)
    table = depthhub("cache", "list").out
    assert "LAST USED" in table
    assert "just now" in table
    assert "pinned" in table


def test_the_quarantine_is_listed_with_its_reasons_and_cleared(depthhub, pulled, cache):
    assert "is empty" in depthhub("cache", "quarantine").err
    Store(cache).get(pulled).weights.write_bytes(b"cut")
    assert depthhub("verify", "--dry-run").code == 6
    assert depthhub("cache", "quarantine", "--json").json == []
    assert depthhub("verify").code == 6
    [item] = depthhub("cache", "quarantine", "--json").json
    assert "3 bytes instead of" in item["reason"]
    assert item["path"].startswith(str(cache / "v1" / "quarantine" / pulled))
    assert "3 bytes instead of" in depthhub("cache", "quarantine").out
    assert "freed" in depthhub("cache", "quarantine", "--clear").err
    assert depthhub("cache", "quarantine", "--json").json == []


def test_a_cache_that_is_no_folder_is_not_called_empty(depthhub, tmp_path):
    (tmp_path / "file").write_text("x")
    for verb in ("list", "info"):
        assert depthhub("cache", verb, "--cache-dir", tmp_path / "file").code == 8
    assert depthhub("verify", "--cache-dir", tmp_path / "file").code == 8
    assert depthhub("cache", "list", "--cache-dir", tmp_path / "not yet there").code == 0


def test_info_tells_a_tier_below_that_is_not_there(depthhub, cache, tmp_path):
    roots = f"{cache}{os.pathsep}{tmp_path / 'mistyped'}"
    assert "not there, or hidden" in depthhub("cache", "info", "--cache-dir", roots).out


def test_info_counts_no_strange_things_as_entries(depthhub, pulled, cache):
    (cache / "v1" / "entries" / "stray").mkdir()
    (cache / "v1" / "entries" / "stray" / "file").write_text("x")
    assert depthhub("cache", "info", "--json").json["entries"]["count"] == 1
