"""`depthhub doctor`: what it prints, what it says to programs, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from depthhub.cli.exit_codes import ExitCode
from depthhub.testing import Fault, LocalHub
from depthhub.transfer import examination

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN = "hf_" + "secret" * 5


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(examination, "TOTAL", 2.0)


def states(document) -> dict[str, str]:
    """Every check of the written cache and of the Hub, by its name."""
    return {finding["name"]: finding["state"] for part in _parts(document) for finding in part["findings"]}


def _parts(document):
    return [document["caches"][0], document["hub"]]


def test_where_all_is_well_it_says_so_and_ends_with_0(depthhub, local_hub: LocalHub, cache):
    outcome = depthhub("doctor")
    assert outcome.code == 0
    assert str(cache) in outcome.out
    assert local_hub.endpoint in outcome.out
    assert "CHECK" in outcome.out
    for name in ("folder", "writing", "file system", "space", "locks", "mapping", "file rename", "hub", "token"):
        assert any(line.startswith(f"{name}  ") for line in outcome.out.splitlines())
    assert " 0 broken" in outcome.err


def test_for_programs_it_is_one_document(depthhub, local_hub, cache):
    outcome = depthhub("doctor", "--json")
    document = outcome.json
    assert outcome.code == 0
    assert [place["path"] for place in document["caches"]] == [str(cache)]
    assert set(document["caches"][0]["file_system"]) >= {"type", "is_network", "options", "should_map", "lock_kind"}
    assert document["caches"][0]["handling"] == {"locks": "flock", "map": True}
    assert (document["hub"]["endpoint"], document["hub"]["is_hub"]) == (local_hub.endpoint, True)
    assert set(states(document).values()) <= {"good", "unknown"}
    assert states(document)["hub"] == "good"


@pytest.mark.parametrize("how", ["option", "variable"])
def test_offline_the_hub_is_not_asked(depthhub, local_hub, monkeypatch, how):
    if how == "variable":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    outcome = depthhub("doctor", "--json", *(["--offline"] if how == "option" else []))
    assert outcome.code == 0
    assert states(outcome.json)["hub"] == "unknown"
    assert local_hub.requests == []


def test_another_cache_is_examined_where_it_is_named(depthhub, tmp_path, cache):
    outcome = depthhub("doctor", "--offline", "--cache-dir", tmp_path / "other", "--json")
    assert outcome.json["caches"][0]["path"] == str(tmp_path / "other")
    assert not cache.exists()


def test_caches_below_are_examined_and_not_written(depthhub, tmp_path, cache, tiny):
    depthhub("pull", tiny, "--family", "v2", "--cache-dir", tmp_path / "shared")
    before = sorted(tmp_path.rglob("*"))
    places = os.pathsep.join(map(str, (cache, tmp_path / "shared", tmp_path / "none")))
    outcome = depthhub("doctor", "--offline", "--cache-dir", places, "--json")
    assert outcome.code == 0
    _, shared, none = outcome.json["caches"]
    assert [finding["state"] for finding in (shared["findings"][0], none["findings"][0])] == ["good", "degraded"]
    assert sorted(tmp_path.rglob("*")) == before
    text = depthhub("doctor", "--offline", "--cache-dir", places).out
    assert f"cache {tmp_path / 'shared'}, only read" in text
    assert "-> Leave it out of DEPTHHUB_CACHE" in text


def test_a_cache_that_cannot_be_written_is_8(depthhub, local_hub, tmp_path):
    (tmp_path / "cache").write_text("a file")
    outcome = depthhub("doctor", "--cache-dir", tmp_path / "cache")
    assert outcome.code == ExitCode.CANNOT_WRITE
    assert "broken" in outcome.out
    assert "is not a folder" in outcome.out


@pytest.mark.parametrize("fault", [Fault.status(503), Fault.html(), Fault.reset()], ids=repr)
def test_a_hub_that_does_not_answer_as_one_is_4(depthhub, local_hub, fault):
    local_hub.inject(fault, times=None)
    outcome = depthhub("doctor", "--json")
    assert outcome.code == ExitCode.NETWORK
    assert states(outcome.json)["hub"] == "broken"
    assert outcome.json["hub"]["error"]["exit_code"] == 4


def test_a_silent_hub_is_4_and_not_waited_for(depthhub, local_hub, monkeypatch):
    monkeypatch.setattr(examination, "TOTAL", 0.5)
    local_hub.inject(Fault.stall(30), times=None)
    assert depthhub("doctor").code == ExitCode.NETWORK


def test_a_dead_port_is_4(depthhub, monkeypatch):
    with LocalHub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.endpoint)
    assert depthhub("doctor").code == ExitCode.NETWORK


@pytest.mark.parametrize("token", [None, TOKEN])
def test_with_a_dead_hub_nothing_is_said_of_the_token_but_that_it_was_not_checked(depthhub, monkeypatch, token):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with LocalHub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.endpoint)
    assert states(depthhub("doctor", "--json").json)["token"] == "unknown"
    (line,) = [line for line in depthhub("doctor").out.splitlines() if line.startswith("token ")]
    assert "could not be checked" in line
    assert "None is sent" not in line


def test_a_cache_that_is_not_there_is_not_made(depthhub, tmp_path):
    outcome = depthhub("doctor", "--offline", "--cache-dir", tmp_path / "far" / "cache")
    assert outcome.code == 0
    assert "is not there yet" in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_is_not_accepted_is_5_and_never_shown(depthhub, local_hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for form in ([], ["--json"], ["--verbose"]):
        outcome = depthhub("doctor", *form)
        assert outcome.code == ExitCode.ACCESS
        assert "does not accept the token from HF_TOKEN" in outcome.out
        assert TOKEN not in outcome.out + outcome.err


def test_a_token_that_is_accepted_is_told_with_its_user(depthhub, local_hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    local_hub.tokens.add(TOKEN)
    outcome = depthhub("doctor")
    assert outcome.code == 0
    assert "The Hub accepts the token from HF_TOKEN. It is local-user's." in outcome.out
    assert TOKEN not in outcome.out + outcome.err


def test_a_limit_that_is_reached_is_degraded_and_0(depthhub, local_hub):
    local_hub.inject(Fault.status(429, retry_after=120))
    outcome = depthhub("doctor")
    assert outcome.code == 0
    assert "for 120 s" in outcome.out
    assert "1 degraded" in outcome.err


def test_two_things_that_are_broken_in_two_ways_are_1(depthhub, local_hub, tmp_path):
    (tmp_path / "cache").write_text("a file")
    local_hub.inject(Fault.status(503), times=None)
    assert depthhub("doctor", "--cache-dir", tmp_path / "cache").code == ExitCode.PARTLY_FAILED


def test_a_setting_that_overrides_what_was_found_is_told(depthhub, monkeypatch):
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    assert "DEPTHHUB_MAP_WEIGHTS says that weights are read" in depthhub("doctor", "--offline").out


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_lock_that_lies_is_degraded_and_0(shell, cache, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import fcntl\nfcntl.flock = lambda *_: None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = shell("-m", "depthhub", "doctor", "--offline")
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("locks ")]
    assert line.split()[1] == "degraded"


@pytest.mark.skipif(sys.platform != "linux", reason="mounts of Linux")
def test_a_read_only_mount_is_examined_without_a_traceback(depthhub, tmp_path: Path):
    folder = tmp_path / "mount"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,ro", "depthhub-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"may not mount here: {done.stderr.strip()}")
    try:
        outcome = depthhub("doctor", "--offline", "--cache-dir", folder / "cache", "--json")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    assert outcome.code == ExitCode.CANNOT_WRITE
    assert states(outcome.json)["writing"] == "broken"
    assert outcome.json["caches"][0]["file_system"]["is_read_only"] is True
