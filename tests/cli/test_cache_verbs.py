"""`pull`, `path`, `verify` and `cache ...`: entries of the cache, from making to removing them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depthhub.testing import Fault, LocalHub
from depthhub_cache.identity import ContentHash, make_key
from depthhub_cache.store import Store

on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])
V2 = ("--family", "v2")


@pytest.fixture
def weights(depthhub, tiny) -> Path:
    """The converted file of `tiny`, pulled as V2."""
    (pulled,) = depthhub("pull", tiny, *V2, "--json").json
    return Path(pulled["path"])


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
