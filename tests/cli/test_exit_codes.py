"""Every documented exit code, met in the way a user meets it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

import depthhub.cli.exit_codes as documentation
from depthhub.cli.exit_codes import ExitCode, common_exit_code, exit_code_of
from depthhub.errors import DepthHubError
from depthhub.testing import Fault, LocalHub

from .conftest import save_photo

HUB_FILE = "owner/repo/tiny.pth"
on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])


def test_every_code_is_documented_in_the_module_and_in_the_help(depthhub):
    codes = {int(code) for code in ExitCode}
    for text in (documentation.__doc__, depthhub("--help").out):
        assert {int(number) for number in re.findall(r"^ *(\d+)  \S", text, re.MULTILINE)} == codes


def test_every_error_of_ours_has_a_code():
    assert all(exit_code_of(kind.__new__(kind)) is not None for kind in subclasses(DepthHubError))


def subclasses(kind):
    return {kind, *(deeper for below in kind.__subclasses__() for deeper in subclasses(below))}


def test_a_mistake_of_ours_has_no_code():
    assert exit_code_of(KeyError("a slip")) is None


@pytest.mark.parametrize(
    ("codes", "together"),
    [([], 0), ([0, 0], 0), ([0, 6, 6], 6), ([3, 6], 1), ([1], 1)],
)
def test_several_outcomes_have_one_code(codes, together):
    assert common_exit_code(map(ExitCode, codes)) == together


def test_0_done(depthhub):
    assert depthhub("list").code == 0


def test_1_a_picture_that_cannot_be_read(depthhub, tiny, tmp_path):
    (tmp_path / "in").mkdir()
    save_photo(tmp_path / "in" / "good.jpg")
    (tmp_path / "in" / "bad.jpg").write_text("not a picture")
    outcome = depthhub(
        "predict", tmp_path / "in", "-m", tiny, "--family", "v2", "--input-size", "28", "-o", tmp_path / "out"
    )
    assert outcome.code == 1
    assert outcome.out.split() == [str(tmp_path / "out" / "good.png")]
    assert "bad.jpg cannot be read as a picture" in outcome.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required"),
        (["lisst"], "invalid choice"),
        (["cache"], "required"),
        (["list", "--frobnicate"], "unrecognized"),
        (["info", "owner/repo/../x.pth"], "owner/repo/../x.pth"),
        (["info", "datasets/owner/repo"], "dataset"),
        (["info", "vits", "--family", "v3"], "invalid choice"),
        (["info", "vits", "--max-depth", "-1"], "metres"),
        (["info", "vits", "--max-depth", "deep"], "--max-depth"),
        (["predict", "a.jpg", "-m", "vits"], "--out"),
        (["cache", "remove"], "--all"),
    ],
)
def test_2_a_command_line_that_is_wrong(depthhub, argv, said):
    outcome = depthhub(*argv)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    outcome = depthhub(*argv, "--json")
    error = outcome.json["error"]
    assert (outcome.code, error["exit_code"]) == (2, 2)
    assert error["message"] in outcome.err


@pytest.mark.parametrize(
    "argv",
    [
        ["identify", ""],
        ["convert", "", "-o", "x.safetensors"],
        ["convert", "x.pth", "-o", ""],
        ["predict", "", "-m", "vits", "-o", "x.png"],
        ["predict", "x.jpg", "-m", "vits", "-o", ""],
    ],
)
def test_2_an_empty_path(depthhub, argv):
    outcome = depthhub(*argv)
    assert outcome.code == 2
    assert "empty" in outcome.err


@pytest.mark.parametrize("verb", [["list"], ["pull", "vits"], ["identify", "x.pth"]])
def test_2_a_variable_that_is_not_usable(depthhub, monkeypatch, verb):
    monkeypatch.setenv("DEPTHHUB_STALL_TIMEOUT", "soon")
    outcome = depthhub(*verb)
    assert outcome.code == 2
    assert "DEPTHHUB_STALL_TIMEOUT='soon'" in outcome.err


def test_2_a_catalog_that_is_wrong(depthhub, monkeypatch, tmp_path):
    (tmp_path / "catalog.json").write_text("[]")
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(tmp_path / "catalog.json"))
    assert depthhub("list").code == 2


def test_3_a_name_that_nobody_knows_gets_a_suggestion(depthhub):
    outcome = depthhub("info", "vitx")
    assert outcome.code == 3
    assert "vits" in outcome.err


def test_3_a_file_that_is_not_there(depthhub, tmp_path):
    assert depthhub("identify", tmp_path / "nothing.pth").code == 3
    assert depthhub("pull", tmp_path / "nothing.pth").code == 3


@on_loopback
def test_3_a_repository_that_is_not_there(depthhub, local_hub: LocalHub):
    assert depthhub("pull", HUB_FILE).code == 3


def test_4_no_network_allowed(depthhub):
    outcome = depthhub("pull", "owner/repo", "--offline")
    assert outcome.code == 4
    assert "network" in outcome.err


@on_loopback
def test_4_a_hub_that_does_not_answer_as_a_hub(depthhub, local_hub: LocalHub):
    local_hub.inject(Fault.html(), times=None)
    assert depthhub("pull", HUB_FILE).code == 4


@on_loopback
def test_5_a_gated_repository(depthhub, local_hub: LocalHub, tiny):
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    local_hub.gate("owner/repo")
    assert depthhub("pull", HUB_FILE, "--family", "v2").code == 5


def test_6_a_file_that_is_no_checkpoint(depthhub, tmp_path):
    path = tmp_path / "broken.pth"
    path.write_bytes(b"\x80\x02garbage" * 100)
    assert depthhub("identify", path).code == 6
    assert depthhub("pull", path, "--family", "v2").code == 6


def test_7_a_model_that_cannot_be_built(depthhub, tiny):
    assert depthhub("pull", "v2-vitg").code == 7
    outcome = depthhub("pull", tiny)
    assert outcome.code == 7
    assert "--family" in outcome.err


def test_8_a_cache_that_cannot_be_written(depthhub, tiny, tmp_path):
    (tmp_path / "file").touch()
    outcome = depthhub("pull", tiny, "--family", "v2", "--cache-dir", tmp_path / "file" / "cache")
    assert outcome.code == 8
    assert "cache_dir" in outcome.err


def test_8_an_output_that_cannot_be_written(depthhub, tiny, photo, tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "depth.png"
    outcome = depthhub("predict", photo, "-m", tiny, "--family", "v2", "--input-size", "28", "-o", out)
    assert outcome.code == 8
    assert str(tmp_path / "file") in outcome.err


def test_9_a_missing_package(depthhub, photo, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    outcome = depthhub("predict", photo, "-m", "vits", "-o", tmp_path / "out.png")
    assert outcome.code == 9
    assert "pip install 'depthhub[predict]'" in outcome.err


@on_loopback
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_130_interrupted_in_a_download_leaves_nothing(cache, local_hub: LocalHub, tiny):
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    local_hub.inject(Fault.stall(60, after=1000))
    command = [sys.executable, "-m", "depthhub", "pull", HUB_FILE, "--family", "v2"]
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # background jobs inherit deaf ears
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heard) as process:
        deadline = time.monotonic() + 60
        while not any(request.host == "cdn" for request in local_hub.requests):
            assert time.monotonic() < deadline, "the download never began"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in err
    assert out == ""
    assert not list(cache.rglob("weights.safetensors"))


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error there")
@pytest.mark.parametrize("models", ["*", "v2-vits"])
def test_141_the_reader_went_away(cache, models):
    command = [sys.executable, "-m", "depthhub", "list", models, "--json"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 141
    assert err == ""
