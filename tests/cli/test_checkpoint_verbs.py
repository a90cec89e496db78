"""`identify` and `convert`: files of one's own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from depthhub.testing import make_checkpoint

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


def test_identify_says_what_shapes_tell_and_what_they_cannot(depthhub, tiny):
    outcome = depthhub("identify", tiny)
    assert outcome.code == 0
    assert "8 blocks of width 128" in outcome.out
    assert "not in the catalog" in outcome.out
    assert "family" in outcome.err
    facts = depthhub("identify", tiny, "--json").json
    assert facts["content_hash"] == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert facts["unknown"] == ["family", "max_depth"]
    assert facts["sizes"]["width"] == 128


def test_identify_knows_the_catalogs_files_by_content(depthhub, tiny, named):
    outcome = depthhub("identify", tiny)
    assert named in outcome.out
    assert "not known" not in outcome.out
    assert depthhub("identify", tiny, "--quiet").err == ""


def test_identify_reports_what_was_peeled_off(depthhub, tmp_path):
    path = make_checkpoint(tmp_path / "wrapped.pth", encoder="tiny", wrapper="state_dict", prefix="module.")
    decisions = depthhub("identify", path, "--json").json["decisions"]
    assert len(decisions) == 2
    assert decisions[0] in depthhub("identify", path).out


def test_convert_writes_the_very_bytes_that_the_cache_holds(depthhub, tiny, tmp_path):
    out = tmp_path / "converted.safetensors"
    outcome = depthhub("convert", tiny, "-o", out, "--family", "v2")
    assert (outcome.code, outcome.out) == (0, f"{out}\n")
    (pulled,) = depthhub("pull", tiny, "--family", "v2", "--json").json
    assert out.read_bytes() == Path(pulled["path"]).read_bytes()


def test_convert_gives_the_config_as_json(depthhub, tiny, tmp_path):
    out = tmp_path / "converted.safetensors"
    options = ("--family", "v2-metric", "--max-depth", "20", "--dtype", "float16")
    config = depthhub("convert", tiny, "-o", out, *options, "--json").json["config"]
    assert (config["family"], config["max_depth"], config["width"]) == ("v2-metric", 20, 128)
    assert out.stat().st_size < tiny.stat().st_size * 0.6


def test_convert_replaces_a_file_only_when_told(depthhub, tiny, tmp_path):
    out = tmp_path / "converted.safetensors"
    out.write_bytes(b"precious")
    assert depthhub("convert", tiny, "-o", out, "--family", "v2").code == 2
    assert out.read_bytes() == b"precious"
    assert depthhub("convert", tiny, "-o", out, "--family", "v2", "--force").code == 0
    assert out.read_bytes() != b"precious"


def test_convert_leaves_a_file_that_appears_meanwhile(depthhub, tiny, tmp_path, monkeypatch):
    from depthhub import conversion

    def slowly(*args):
        require_unchanged(*args)
        if list(tmp_path.glob(".*.part")):  # it is written already
            out.write_bytes(b"precious")

    out, require_unchanged = tmp_path / "converted.safetensors", conversion.require_unchanged
    monkeypatch.setattr(conversion, "require_unchanged", slowly)
    outcome = depthhub("convert", tiny, "-o", out, "--family", "v2")
    assert (outcome.code, out.read_bytes()) == (2, b"precious")
    assert "--force replaces it" in outcome.err
    assert list(tmp_path.iterdir()) == [out]


def test_convert_never_replaces_the_checkpoint_itself(depthhub, tmp_path):
    path = make_checkpoint(tmp_path / "tiny.safetensors", encoder="tiny", container="safetensors")
    before = path.read_bytes()
    assert depthhub("convert", path, "-o", path, "--family", "v2", "--force").code == 2
    assert path.read_bytes() == before


def test_convert_writes_safetensors_only(depthhub, tiny, tmp_path):
    outcome = depthhub("convert", tiny, "-o", tmp_path / "out.pth", "--family", "v2")
    assert outcome.code == 2
    assert ".safetensors" in outcome.err


def test_a_convert_that_fails_leaves_no_file(depthhub, tiny, tmp_path):
    out = tmp_path / "converted.safetensors"
    assert depthhub("convert", tiny, "-o", out).code == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a:b.safetensors", "what?.safetensors", "a\\b.safetensors"])
def test_convert_refuses_a_name_that_is_none_on_every_system(depthhub, tiny, tmp_path, name):
    outcome = depthhub("convert", tiny, "-o", tmp_path / name, "--family", "v2")
    assert outcome.code == 2
    assert "name of a file" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, pytest.param(getattr(os, "mkfifo", None), marks=needs_pipes)])
def test_convert_replaces_files_only(depthhub, tiny, tmp_path, make):
    out = tmp_path / "out.safetensors"
    make(out)
    outcome = depthhub("convert", tiny, "-o", out, "--family", "v2", "--force")
    assert outcome.code == 2
    assert "is no file" in outcome.err
    assert not out.is_file()


def test_convert_replaces_a_link_that_leads_nowhere_only_when_told(depthhub, tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    out.symlink_to(tmp_path / "nowhere")
    assert depthhub("convert", tiny, "-o", out, "--family", "v2").code == 2
    assert out.is_symlink()
