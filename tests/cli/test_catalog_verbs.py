"""`list` and `info`: what there is, what it means, and whether it is here."""

from __future__ import annotations

import pytest

from depthhub.testing import LocalHub

on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])


def rows(outcome):
    header, *lines = (line.split() for line in outcome.out.splitlines())
    return [dict(zip(header, line, strict=False)) for line in lines]


def test_list_shows_name_family_encoder_licence_size_and_whether_it_is_cached(depthhub):
    first = depthhub("list", "v2-vits").out.splitlines()[1]
    assert first.split() == ["v2-vits", "depth-anything-v2", "relative", "vits", "apache-2.0", "99.2", "MB", "no"]


def test_list_takes_a_part_of_a_name_or_a_shell_pattern(depthhub):
    assert {row["NAME"] for row in rows(depthhub("list", "v2-metric-hypersim"))} == {
        f"v2-metric-hypersim-{encoder}" for encoder in ("vits", "vitb", "vitl")
    }
    assert [row["NAME"] for row in rows(depthhub("list", "v1-vit[sb]"))] == ["v1-vits", "v1-vitb"]


def test_list_shows_models_that_cannot_be_served_only_when_asked(depthhub):
    names = {model["name"] for model in depthhub("list", "--json").json}
    every = {model["name"]: model for model in depthhub("list", "--all", "--json").json}
    assert "v2-vitg" not in names
    assert "Giant" in every["v2-vitg"]["unsupported"]
    hidden = depthhub("list", "v2-vitg")
    assert (hidden.code, hidden.out) == (0, "")
    assert "--all" in hidden.err


def test_list_of_nothing_says_so(depthhub):
    outcome = depthhub("list", "no-such-model", "--json")
    assert (outcome.code, outcome.json) == (0, [])
    assert "no-such-model" in outcome.err


def test_list_knows_what_is_cached_and_where(depthhub, named, tiny):
    def listed():
        (model,) = depthhub("list", named, "--json").json
        return model["path"]

    assert listed() is None
    depthhub("pull", tiny, "--dtype", "float16")
    assert listed() is None, "a float16 entry is not what the name gives"
    depthhub("pull", tiny)
    assert listed() == depthhub("path", named).out.rstrip()
    assert depthhub("list", named).out.rstrip().endswith("yes")


def test_list_leaves_the_cache_folder_unmade(depthhub, cache):
    depthhub("list")
    assert not cache.exists()


def test_info_of_a_pinned_name_asks_nobody(depthhub):
    outcome = depthhub("info", "vits")
    assert outcome.code == 0
    assert "v2-vits" in outcome.out
    assert "pinned by the catalog" in outcome.out
    facts = depthhub("info", "vits", "--json").json
    assert (facts["name"], facts["pinned"], facts["path"]) == ("v2-vits", True, None)
    assert facts["build"]["family"] == "v2"


@on_loopback
def test_info_says_how_old_the_hubs_answer_is_and_refresh_asks_again(depthhub, local_hub: LocalHub, tiny):
    first = local_hub.add_file("owner/repo", "tiny.pth", tiny)
    source = ("owner/repo/tiny.pth", "--family", "v2")
    assert "the Hub said so just now" in depthhub("info", *source).out
    second = local_hub.add_file("owner/repo", "other.txt", b"x", lfs=False)
    assert depthhub("info", *source, "--json").json["commit"] == first
    assert depthhub("info", *source, "--refresh", "--json").json["commit"] == second


def test_info_of_a_cached_model_says_where_it_came_from(depthhub, tiny):
    depthhub("pull", tiny, "--family", "v2")
    facts = depthhub("info", tiny, "--family", "v2", "--json").json
    assert facts["provenance"]["content_hash"] == facts["content_hash"]
    assert facts["path"] == facts["provenance"]["path"]


def test_info_says_what_nothing_tells(depthhub, tiny):
    outcome = depthhub("info", tiny)
    assert outcome.code == 0
    assert "not known; say --family" in outcome.out
    assert "V1, V2 and V2-metric" in outcome.err
