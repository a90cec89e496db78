"""`depthhub pull`: what it can be asked for, what a dry run says, and how it ends, also where it is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub.testing import Fault, LocalHub, make_checkpoint
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli-json.md").read_text(encoding="utf-8")
V2 = ("--family", "v2")
LICENCES = {"forest-a": "mit", "forest-b": "cc-by-nc-4.0", "field": "apache-2.0"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pull")
    return {
        name: make_checkpoint(folder / f"{name}.pth", encoder="tiny", seed=seed) for seed, name in enumerate(LICENCES)
    }


@pytest.fixture
def hub(local_hub: LocalHub, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """Three models that a catalog pins: forest-a, forest-b, field."""
    known = []
    for name, path in checkpoints.items():
        local_hub.add_file(f"me/{name}", "weights.pth", path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pinned = checkpoint(name, repo_id=f"me/{name}", filename="weights.pth", sha256=digest, size=path.stat().st_size)
        known.append(pinned | {"licence": LICENCES[name]})
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", *known)))
    return local_hub


def downloads(hub: LocalHub) -> list[str | None]:
    """The ranges that were asked for of files."""
    return [request.range for request in hub.requests if request.host == "cdn"]


def sources(outcome) -> list[str]:
    return [item["source"] for item in outcome.json]


# What it can be asked for


def test_patterns_names_and_licences_each_once_in_order(depthhub, hub: LocalHub) -> None:
    outcome = depthhub("pull", "field", "forest-*", "field", "--all-licensed", "mit", "--json")
    assert outcome.code == 0
    assert sources(outcome) == ["field", "forest-a", "forest-b"]
    assert [item["licence"] for item in outcome.json] == ["apache-2.0", "mit", "cc-by-nc-4.0"]
    assert len(downloads(hub)) == 3


def test_all_of_a_licence_are_those_that_the_strictest_reading_leaves(depthhub, hub: LocalHub) -> None:
    asked = sources(depthhub("pull", "--all-licensed", "apache-2.0", "--dry-run", "--json", "--offline", "--quiet"))
    assert "field" in asked
    assert "v2-vits" in asked
    assert not {"forest-a", "forest-b", "v2-vitl", "v2-metric-vkitti-vits", "v2-vitg"} & set(asked)


def test_a_pattern_that_fits_nothing_is_not_found_and_the_others_are_pulled(depthhub, hub: LocalHub) -> None:
    outcome = depthhub("pull", "river-*", "field", "--json")
    assert outcome.code == 3
    assert outcome.json[0]["error"]["type"] == "NotFoundError"
    assert outcome.json[1]["cached"] is False


def test_a_licence_that_none_has_is_a_usage_error_that_lists_those_there_are(depthhub, hub: LocalHub) -> None:
    outcome = depthhub("pull", "--all-licensed", "gpl-3.0")
    assert outcome.code == 2
    assert "the catalog has apache-2.0" in outcome.err


def test_nothing_at_all_is_a_usage_error(depthhub, hub: LocalHub) -> None:
    assert depthhub("pull").code == 2


def test_a_lockfile_is_pulled_exactly_and_nothing_beside_it(
    depthhub, hub: LocalHub, cache: Path, tmp_path: Path
) -> None:
    lockfile = tmp_path / "depthhub.lock"
    assert depthhub("lock", "forest-a", "field", "-o", lockfile).code == 0
    assert depthhub("lock", "--add", "field", "--dtype", "float16", "-o", lockfile).code == 0
    outcome = depthhub("pull", "--locked", "--lockfile", lockfile, "--cache-dir", tmp_path / "machine", "--json")
    assert outcome.code == 0
    locked = json.loads(lockfile.read_text())["models"]
    assert [item["key"] for item in outcome.json] == [model["key"] for model in locked]
    store = Store(tmp_path / "machine")
    assert {entry.key: entry.record.weights_sha256 for entry in store.entries()} == {
        model["key"]: model["weights_sha256"] for model in locked
    }
    assert depthhub("pull", "forest-b", "--lockfile", lockfile).code == 10


# What it says


def test_it_ends_with_a_table_of_what_is_there_now(depthhub, hub: LocalHub, cache: Path) -> None:
    depthhub("pull", "forest-a")
    header, *rows = depthhub("pull", "forest-a", "field").out.splitlines()
    assert header.split() == ["SOURCE", "STATE", "SIZE", "LICENCE", "PATH"]
    (one, other) = (row.split("  ") for row in rows)
    assert [cell.strip() for cell in one if cell][:2] == ["forest-a", "was there"]
    assert [cell.strip() for cell in other if cell][:2] == ["field", "pulled"]
    assert [cell.strip() for cell in other if cell][3] == "apache-2.0"
    assert all(Path(row.split()[-1]).is_relative_to(cache) for row in rows)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (["field"], 0),
        (["me/none", "me/nobody", "field"], 3),
        (["me/none", "not-a-name", "a b"], 1),
        (["a b"], 2),
        (["me/field@no-such-branch"], 3),
    ],
)
def test_the_code_is_that_of_the_failures_if_they_are_alike(depthhub, hub: LocalHub, asked: list[str], code: int):
    assert depthhub("pull", *asked, *(V2 if "me/" in asked[0] else ())).code == code


def test_a_licence_that_is_not_allowed_ends_with_10_and_says_which(
    depthhub, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_ALLOW_LICENSES", "mit,apache-2.0")
    outcome = depthhub("pull", "forest-*", "--json")
    assert outcome.code == 10
    assert outcome.json[0]["cached"] is False
    assert outcome.json[1]["error"]["licence"] == "cc-by-nc-4.0"
    assert len(downloads(hub)) == 1


def test_every_listing_has_the_licence(depthhub, hub: LocalHub, tmp_path: Path) -> None:
    depthhub("pull", "forest-b")
    bundle, lockfile, elsewhere = tmp_path / "out.tar", tmp_path / "depthhub.lock", tmp_path / "elsewhere"
    for listing in (
        ["list", "forest-b"],
        ["info", "forest-b"],
        ["cache", "list"],
        ["lock", "forest-b", "-o", lockfile],
        ["cache", "export", "forest-b", "-o", bundle],
        ["cache", "import", bundle, "--cache-dir", elsewhere],
        ["pull", "forest-b"],
        ["pull", "forest-b", "--dry-run"],
    ):
        for json_or_not in ([], ["--json"]):
            outcome = depthhub(*listing, *json_or_not, *(["--force"] if "export" in listing else []))
            assert outcome.code == 0, outcome.err
            assert "cc-by-nc-4.0" in outcome.out, listing


def test_what_was_pushed_is_said(depthhub, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shelf").mkdir()
    assert depthhub("pull", "field", "--push").code == 2  # to where?
    assert downloads(hub) == []
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(tmp_path / "shelf"))
    assert "pulled, pushed" in depthhub("pull", "field", "--push").out
    assert "was there, was in the remote store" in depthhub("pull", "field", "--push").out
    assert [path.suffix for path in sorted((tmp_path / "shelf").iterdir())].count(".json") == 1


# What it would do


def test_a_dry_run_says_what_and_how_much_under_which_licences_and_fetches_nothing(
    depthhub, hub: LocalHub, cache: Path, checkpoints: dict[str, Path]
) -> None:
    depthhub("pull", "forest-a")
    hub.clear_log()
    outcome = depthhub("pull", "forest-*", "field", "--dry-run", "--json")
    assert outcome.code == 0
    rows = [(item["origin"], item["bytes"], item["licence"]) for item in outcome.json]
    assert rows == [
        ("cache", 0, "mit"),
        ("hub", checkpoints["forest-b"].stat().st_size, "cc-by-nc-4.0"),
        ("hub", checkpoints["field"].stat().st_size, "apache-2.0"),
    ]
    assert "the catalog" in outcome.json[1]["stated_by"]
    assert all(f"`{field}`" in DOCUMENT.rpartition("`pull --dry-run`")[2] for field in outcome.json[0])
    outcome = depthhub("pull", "forest-*", "field", "--dry-run")
    assert outcome.out.splitlines()[0].split() == ["SOURCE", "STATE", "TO", "FETCH", "LICENCE", "STATED", "BY"]
    assert "to fetch; nothing was fetched" in outcome.err
    assert hub.requests == []
    assert len(list(Store(cache).entries())) == 1


def test_a_dry_run_counts_a_copy_that_is_here_as_nothing(
    depthhub, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    depthhub("pull", "field")
    outcome = depthhub("pull", "field", "--dtype", "float16", "--dry-run", "--json")
    assert [(item["origin"], item["bytes"]) for item in outcome.json] == [("copy", 0)]


def test_a_dry_run_of_what_is_not_known_says_so(depthhub, hub: LocalHub, checkpoints: dict[str, Path]) -> None:
    hub.add_file("me/small", "small.pth", checkpoints["field"], lfs=False)
    outcome = depthhub("pull", "me/small", "vits-hf", *V2, "--dry-run")
    assert outcome.code == 3
    assert "unknown" in outcome.out
    assert "nobody, neither the catalog nor the card of me/small" in outcome.out
    assert downloads(hub) == []


# How it ends before its time


Shell = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def started(hub: LocalHub, cache: Path) -> Shell:
    """`started("field")`: a pull in a process of its own that is in the middle of its downloads."""

    def start(*asked: str, of: int = 1) -> subprocess.Popen[str]:
        hub.inject(Fault.trickle(size=1 << 16, pause=0.1), times=None)
        command = [sys.executable, "-m", "depthhub", "pull", *asked, "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while sum(size > 1 << 17 for size in _parts(cache)) < of:
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        return process

    return start


def _parts(cache: Path) -> list[int]:
    sizes = []
    for path in (cache / "v1" / "tmp").rglob("*.part"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            sizes.append(0)
    return sizes


def _goes_on(depthhub, hub: LocalHub, cache: Path, asked: list[str], checkpoints: dict[str, Path]) -> None:
    """The next call: only the bytes that are not here are fetched, by their ranges; a dry run has told how many."""
    hub.heal()
    begun = sum(_parts(cache))
    assert begun > 0
    assert list(Store(cache).entries()) == []
    assert depthhub("verify").code == 0
    told = depthhub("pull", *asked, "--dry-run", "--json").json
    whole = sum(checkpoints[name].stat().st_size for name in asked)
    assert sum(item["bytes"] for item in told) == whole - begun
    hub.clear_log()
    assert depthhub("pull", *asked).code == 0
    starts = [int((asked_for or "bytes=0-")[6:-1]) for asked_for in downloads(hub)]
    assert len(starts) == len(asked)
    assert sum(starts) == begun
    assert _parts(cache) == []
    assert depthhub("verify", "--deep").code == 0


def test_a_kill_in_the_middle_costs_only_what_was_not_fetched(
    depthhub, hub: LocalHub, cache: Path, started: Shell, checkpoints: dict[str, Path]
) -> None:
    process = started("forest-a", "field", of=2)
    process.kill()
    process.communicate()
    _goes_on(depthhub, hub, cache, ["forest-a", "field"], checkpoints)


@pytest.mark.skipif(os.name == "nt", reason="signals of a terminal")
def test_ctrl_c_ends_it_at_once_with_130_and_the_next_call_goes_on(
    depthhub, hub: LocalHub, cache: Path, started: Shell, checkpoints: dict[str, Path]
) -> None:
    process = started("forest-a", "field", of=2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert json.loads(out)["error"]["exit_code"] == 130
    assert "a download goes on where it was" in err
    assert "Traceback" not in err
    _goes_on(depthhub, hub, cache, ["forest-a", "field"], checkpoints)


# What it costs when all is there


def test_when_all_is_there_it_needs_neither_torch_nor_the_hubs_client_nor_a_bar(
    depthhub, shell, hub: LocalHub, tmp_path: Path
) -> None:
    lockfile = tmp_path / "depthhub.lock"
    assert depthhub("lock", *LICENCES, "-o", lockfile).code == 0
    hub.close()
    for asked in (["forest-*", "field"], ["--locked", "--lockfile", lockfile]):
        done = shell("-X", "importtime", "-m", "depthhub", "pull", *asked)
        assert done.returncode == 0, done.stderr[-1500:]
        assert done.stdout.count("was there") == 3
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
        assert "depthhub" in imported
        assert not {"torch", "huggingface_hub", "fsspec", "tqdm", "numpy", "safetensors"} & imported


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_on_a_terminal_there_is_one_bar_and_ctrl_c_takes_it_away(hub: LocalHub, cache: Path) -> None:
    import fcntl
    import pty
    import termios

    hub.inject(Fault.trickle(size=1 << 16, pause=0.1), times=None)
    theirs, ours = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, "-m", "depthhub", "pull", "forest-a", "field", "me/none", *V2]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=ours)
    os.close(ours)
    said = b""
    while b"1 of 3 done, 2 downloading:  1" not in said:  # some ten of a hundred
        said += os.read(theirs, 4096)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # how Linux says that nobody writes there any more
        while more := os.read(theirs, 4096):
            said += more
    os.close(theirs)
    assert process.wait(30) == 130
    lines = [line.rpartition("\r")[2] for line in said.decode().replace("\r\n", "\n").rstrip("\r").split("\n")]
    assert [line for line in lines if "downloading" in line] == []  # each was drawn over
    assert "There is no model repository me/none" in said.decode()
    assert any("a download goes on where it was" in line for line in lines)
