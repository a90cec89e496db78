"""`verify`: what is sound, broken or missing, here and in tiers below; what is broken is set aside."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from depthhub.testing import LocalHub
from depthhub_cache.store import Store

from ..cache.children import in_a_child, needs_fork
from ..cache.samples import publish
from .conftest import flip_a_bit

on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])
V2 = ("--family", "v2")


def flip_a_byte(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


def quarantine_of(cache: Path) -> list[Path]:
    return sorted((cache / "v1" / "quarantine").glob("*"))


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


def test_verify_sets_aside_what_is_broken_and_says_where_it_is(depthhub, weights, tiny, cache):
    sound = weights.read_bytes()
    flip_a_bit(weights)
    damaged = weights.read_bytes()
    outcome = depthhub("verify", "--deep", "--json")
    assert outcome.code == 6
    [checked] = outcome.json
    [place] = quarantine_of(cache)
    assert (checked["source"], checked["state"], checked["quarantine"]) == (str(tiny), "broken", str(place))
    assert (place / "weights.safetensors").read_bytes() == damaged
    assert checked["error"]["reason"] == json.loads((place / "reason.json").read_text())["reason"]
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
