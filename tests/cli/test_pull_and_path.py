"""`pull` of one source after the other, and `path`."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub.testing import Fault, LocalHub

on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])
V2 = ("--family", "v2")


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
