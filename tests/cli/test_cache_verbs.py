"""`pull`, `path`, `verify` and `cache ...`: entries of the cache, from making to removing them."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from depthhub.testing import Fault, LocalHub
from depthhub_cache import disk
from depthhub_cache.identity import ContentHash, Key, make_key
from depthhub_cache.store import Store

from ..cache.children import in_a_child, needs_fork
from ..cache.samples import publish

on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])
V2 = ("--family", "v2")


@pytest.fixture
def weights(depthhub, tiny) -> Path:
    """The converted file of `tiny`, pulled as V2."""
    (pulled,) = depthhub("pull", tiny, *V2, "--json").json
    return Path(pulled["path"])


@pytest.fixture
def pulled(weights: Path) -> str:
    """The key of that entry."""
    return weights.parent.name


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)


@on_loopback
def test_pull_downloads_once_and_says_what_it_does(depthhub, local_hub: LocalHub, tiny):
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    first = depthhub("pull", "owner/repo/tiny.pth", *V2)
    assert first.code == 0
    assert "owner/repo/tiny.pth" in first.out
    assert "pulled" in first.out
    for stage in ("resolving", "downloading 8.51 MB", "converting"):
        assert stage in first.err
    asked = len(local_hub.requests)
    second = depthhub("pull", "owner/repo/tiny.pth", *V2)
    assert "was there" in second.out
    assert second.err == ""
    assert len(local_hub.requests) == asked


@on_loopback
def test_pull_goes_on_after_a_source_that_fails(depthhub, local_hub: LocalHub, tiny):
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    outcome = depthhub("pull", "owner/none/x.pth", "owner/repo/tiny.pth", *V2, "--json")
    failed, pulled = outcome.json
    assert outcome.code == 3
    assert (failed["source"], failed["error"]["type"]) == ("owner/none/x.pth", "NotFoundError")
    assert Path(pulled["path"]).is_file()


@on_loopback
def test_a_download_with_wrong_bytes_is_code_6_and_leaves_nothing(depthhub, local_hub: LocalHub, tiny, named, cache):
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    local_hub.inject(Fault.corrupted(), times=None)
    outcome = depthhub("pull", named)
    assert outcome.code == 6
    assert not list(cache.rglob("weights.safetensors"))


@on_loopback
def test_a_branch_that_moves_is_followed_only_when_asked(depthhub, local_hub: LocalHub, tiny, photo, tmp_path):
    source = ("owner/repo/tiny.pth", "--revision", "next", *V2)

    def commit(*refresh):
        return depthhub("info", *source, *refresh, "--json").json["commit"]

    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    first = local_hub.add_file("owner/repo", "one.txt", b"1", lfs=False, revision="next")
    assert depthhub("pull", *source).code == 0
    second = local_hub.add_file("owner/repo", "two.txt", b"2", lfs=False, revision="next")
    assert depthhub("pull", *source).code == 0
    assert commit() == first
    assert depthhub("pull", *source, "--refresh").code == 0
    assert commit() == second
    third = local_hub.add_file("owner/repo", "three.txt", b"3", lfs=False, revision="next")
    picture = ("-o", tmp_path / "depth.png", "--input-size", "28")
    assert depthhub("predict", photo, "-m", *source, *picture, "--refresh").code == 0
    assert commit() == third


def test_quiet_pulls_without_a_word(depthhub, tiny):
    assert depthhub("pull", tiny, *V2, "--quiet").err == ""


def test_path_prints_the_converted_file(depthhub, tiny, weights):
    assert depthhub("path", tiny, *V2).out == f"{weights}\n"
    assert depthhub("path", tiny, *V2, "--json").json["path"] == str(weights)


def test_path_of_what_is_not_there_is_an_error_with_empty_stdout(depthhub, tiny):
    outcome = depthhub("path", tiny, *V2)
    assert (outcome.code, outcome.out) == (3, "")
    assert "depthhub pull" in outcome.err


def test_path_tells_recipes_apart(depthhub, tiny, weights):
    assert depthhub("path", tiny, *V2, "--dtype", "float16").code == 3
    assert depthhub("path", tiny, "--family", "v1").code == 3


def test_cache_dir_goes_before_the_environment(depthhub, tiny, tmp_path):
    outcome = depthhub("pull", tiny, *V2, "--cache-dir", tmp_path / "elsewhere", "--json")
    assert str(tmp_path / "elsewhere") in outcome.json[0]["path"]
    assert depthhub("path", tiny, *V2).code == 3


def test_verify_of_an_empty_cache_is_fine(depthhub):
    outcome = depthhub("verify", "--json")
    assert (outcome.code, outcome.json) == (0, [])


@pytest.mark.parametrize("how", [[], ["--deep"]])
def test_verify_of_a_sound_cache_is_fine(depthhub, weights, tiny, how):
    outcome = depthhub("verify", *how, "--json")
    assert outcome.code == 0
    assert [(entry["source"], entry["state"]) for entry in outcome.json] == [(str(tiny), "sound")]


def test_verify_finds_a_truncation_quickly_and_checks_the_others(depthhub, weights, tiny):
    depthhub("pull", tiny, "--family", "v1")
    weights.write_bytes(weights.read_bytes()[:-1])
    outcome = depthhub("verify", "--json")
    assert outcome.code == 6
    assert sorted(entry["state"] for entry in outcome.json) == ["broken", "sound"]
    assert "2 checked, 1 failed" in outcome.err


def test_verify_finds_a_flipped_bit_deeply(depthhub, weights):
    flip_a_bit(weights)
    assert depthhub("verify").code == 0
    outcome = depthhub("verify", "--deep")
    assert outcome.code == 6
    assert "broken" in outcome.out


@pytest.mark.parametrize("damage", [flip_a_bit, lambda path: path.write_bytes(b""), Path.unlink])
def test_verify_of_one_source_says_broken_where_it_is_broken(depthhub, weights, tiny, damage):
    damage(weights)
    outcome = depthhub("verify", tiny, *V2, "--deep", "--json")
    assert outcome.code == 6
    assert outcome.json[0]["state"] == "broken"


def test_verify_of_a_source_that_is_not_there_says_missing(depthhub, weights, tiny):
    outcome = depthhub("verify", tiny, "--family", "v1", "--json")
    assert outcome.code == 3
    assert outcome.json[0]["state"] == "missing"


@pytest.mark.parametrize(("source", "code"), [(None, 7), ("vitx", 3), ("owner/repo/../x.pth", 2)])
def test_verify_of_a_source_that_is_not_decided_says_unknown(depthhub, weights, tiny, source, code):
    outcome = depthhub("verify", source or tiny, "--json")
    assert outcome.code == code
    assert (outcome.json[0]["state"], outcome.json[0]["error"]["exit_code"]) == ("unknown", code)


def test_verify_of_a_source_that_nobody_resolved_uses_no_network(depthhub):
    assert depthhub("verify", "owner/repo/file.pth").code == 3


def test_cache_list_shows_entries(depthhub, weights, tiny):
    line = depthhub("cache", "list").out.splitlines()[1]
    assert line.split()[:4] == [str(tiny), "v2", "as", "released"]
    (entry,) = depthhub("cache", "list", "--json").json
    assert entry["path"] == str(weights)
    assert entry["record"]["about"]["recipe"]["build"]["family"] == "v2"


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


# verify, and the quarantine


def flip_a_byte(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


def quarantine_of(cache: Path) -> list[Path]:
    return sorted((cache / "v1" / "quarantine").glob("*"))


def test_verify_sets_aside_what_is_broken_and_says_where_it_is(depthhub, weights, tiny, cache):
    sound = weights.read_bytes()
    flip_a_bit(weights)
    damaged = weights.read_bytes()
    outcome = depthhub("verify", "--deep", "--json")
    assert outcome.code == 6
    [checked] = outcome.json
    [place] = quarantine_of(cache)
    assert (checked["state"], checked["quarantine"]) == ("broken", str(place))
    assert (place / "weights.safetensors").read_bytes() == damaged
    assert checked["error"]["message"] in json.loads((place / "reason.json").read_text())["reason"]
    assert depthhub("verify", "--deep", "--json").json == []
    assert depthhub("path", tiny, *V2).code == 3
    assert depthhub("pull", tiny, *V2).code == 0
    assert weights.read_bytes() == sound
    assert depthhub("verify", "--deep").code == 0


@pytest.mark.parametrize("damage", [flip_a_byte, lambda path: path.write_bytes(b""), Path.unlink])
def test_verify_sets_aside_an_entry_whose_record_is_damaged(depthhub, weights, cache, damage):
    damage(weights.parent / "entry.json")
    outcome = depthhub("verify", "--json")
    assert outcome.code == 6
    assert [checked["state"] for checked in outcome.json] == ["broken"]
    assert len(quarantine_of(cache)) == 1


@on_loopback
def test_verify_finds_damaged_refs_and_originals_beside_the_entries(
    depthhub, local_hub: LocalHub, tiny, cache, monkeypatch
):
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    depthhub("pull", "owner/repo/tiny.pth", *V2)
    [ref] = (cache / "v1" / "refs").rglob("*.json")
    [original] = (cache / "v1" / "checkpoints").rglob("tiny.pth")
    assert [checked["state"] for checked in depthhub("verify", "--deep", "--json").json] == ["sound"]
    flip_a_byte(ref)
    flip_a_byte(original)
    quick = depthhub("verify", "--json")
    assert quick.code == 6
    assert sorted(checked["state"] for checked in quick.json) == ["broken", "sound"]
    assert not ref.exists()
    deep = depthhub("verify", "--deep", "--json")
    assert deep.code == 6
    assert [checked["state"] for checked in deep.json].count("broken") == 1
    assert not original.exists()
    assert len(quarantine_of(cache)) == 2
    assert depthhub("verify", "--deep").code == 0
    local_hub.clear_log()
    assert depthhub("pull", "owner/repo/tiny.pth", *V2).code == 0  # asked for again, and there
    assert [request for request in local_hub.requests if request.host == "cdn"] == []


def test_verify_checks_the_tiers_below_and_leaves_them_as_they_are(depthhub, tiny, tmp_path, cache, monkeypatch):
    [pulled] = depthhub("pull", tiny, *V2, "--cache-dir", tmp_path / "below", "--json").json
    flip_a_bit(Path(pulled["path"]))
    monkeypatch.setenv("DEPTHHUB_CACHE", f"{cache}{os.pathsep}{tmp_path / 'below'}")
    assert depthhub("verify").code == 0
    outcome = depthhub("verify", "--deep", "--json")
    assert outcome.code == 6
    assert [(checked["state"], checked["quarantine"]) for checked in outcome.json] == [("broken", None)]
    assert Path(pulled["path"]).exists()
    assert quarantine_of(tmp_path / "below") == quarantine_of(cache) == []


def test_verify_moves_nothing_of_a_tier_below_even_where_that_lies_in_ones_own(depthhub, tiny, cache, monkeypatch):
    below = cache / "image"
    [pulled] = depthhub("pull", tiny, *V2, "--cache-dir", below, "--json").json
    flip_a_bit(Path(pulled["path"]))
    monkeypatch.setenv("DEPTHHUB_CACHE", f"{cache}{os.pathsep}{below}")
    [checked] = depthhub("verify", "--deep", "--json").json
    assert (checked["state"], checked["quarantine"]) == ("broken", None)
    assert Path(pulled["path"]).exists()


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a cache of another user")
def test_verify_of_a_cache_that_is_hidden_from_us_does_not_say_that_all_is_well(depthhub):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are shut for others
        Path(folder).chmod(0o755)
        publish(Store(Path(folder)), "vits")
        (Path(folder) / "v1" / "entries").chmod(0o700)
        assert depthhub("verify", "--cache-dir", folder).code == 0
        assert in_a_child(lambda: depthhub("verify", "--cache-dir", folder), as_nobody=True).code == 8


# gc


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


# pin and unpin


def test_what_is_pinned_is_not_collected_until_it_is_unpinned(depthhub, weights, tiny):
    key = weights.parent.name
    outcome = depthhub("cache", "pin", tiny, *V2, "--json")
    assert (outcome.code, outcome.json) == (0, [{"target": str(tiny), "key": key, "pinned": True}])
    assert f"({key[:12]}) is pinned." in outcome.err
    assert "1 pinned" in depthhub("cache", "info").out
    assert depthhub("cache", "gc", "--max-size", "0", "--json").json["freed"] == []
    outcome = depthhub("cache", "unpin", key[:8], "--json")
    assert outcome.json == [{"target": key[:8], "key": key, "pinned": False}]
    assert "is not pinned any more" in outcome.err
    assert "pinned" not in depthhub("cache", "info").out
    assert len(depthhub("cache", "gc", "--max-size", "0", "--json").json["freed"]) == 1


def test_what_was_pinned_is_pinned_when_it_is_made_again(depthhub, weights, tiny):
    depthhub("cache", "pin", weights.parent.name)
    depthhub("cache", "remove", weights.parent.name)
    depthhub("pull", tiny, *V2)
    assert depthhub("cache", "gc", "--max-size", "0", "--json").json["freed"] == []


def test_a_pin_can_be_taken_from_an_entry_that_is_gone(depthhub, weights, cache):
    key = weights.parent.name
    depthhub("cache", "pin", key)
    depthhub("cache", "remove", key)
    assert depthhub("cache", "unpin", key).code == 0
    assert list((cache / "v1" / "pins").iterdir()) == []


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_pinning_what_is_not_there_is_an_error_and_the_others_are_done(depthhub, weights, tiny, verb):
    outcome = depthhub("cache", verb, "0123456789ab", weights.parent.name, "vitx", "--json")
    assert outcome.code == 3
    missing, done, unknown = outcome.json
    assert (missing["key"], missing["error"]["type"]) == (None, "NotFoundError")
    assert done["pinned"] == (verb == "pin")
    assert unknown["error"]["type"] == "UnknownModelError"
    assert depthhub("cache", verb).code == 2


def test_a_pin_that_cannot_be_written_is_code_8(depthhub, weights, cache):
    (cache / "v1" / "pins").write_text("in the way")
    outcome = depthhub("cache", "pin", weights.parent.name)
    assert outcome.code == 8
    assert "is in the way and is not a folder" in outcome.err


def test_a_pin_that_came_too_late_says_so(depthhub, pulled, cache, monkeypatch):
    pin = Store.pin

    def as_it_is_removed(store: Store, key: Key) -> None:
        store.remove(key)
        pin(store, key)

    monkeypatch.setattr(Store, "pin", as_it_is_removed)
    outcome = depthhub("cache", "pin", pulled)
    assert outcome.code == 3
    assert f"The entry {pulled[:12]} is not in the cache any more" in outcome.err
    assert Store(cache).is_pinned(pulled)


def test_a_pin_waits_for_what_is_put_back(depthhub, pulled, weights, tmp_path, monkeypatch):
    pin = Store.pin

    def as_it_is_out_of_its_place(store: Store, key: Key) -> None:
        weights.parent.rename(tmp_path / "away")
        pin(store, key)

    @contextmanager
    def put_back(store: Store, key: Key) -> Iterator[bool]:
        (tmp_path / "away").rename(weights.parent)
        yield True

    monkeypatch.setattr(Store, "pin", as_it_is_out_of_its_place)
    monkeypatch.setattr(Store, "lock", put_back)
    assert depthhub("cache", "pin", pulled).code == 0
    assert weights.exists()


# info


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


# what is held, what lies below, what was set aside


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
