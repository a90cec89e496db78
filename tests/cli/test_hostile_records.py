"""What a record says may have come with a bundle: it is shown, and obeyed by nothing, neither terminal nor program."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from depthhub.cli.in_cache import recipe_of, repository_of
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.entry import Entry
from depthhub_cache.store import Store

from ..cache.samples import key_of, weights_of

V2 = ("--family", "v2")
SPOOF = "\x1b[2J\x1b]0;owned\x07\x9b31mvits\nspoofed: line\r\u202e\udc9b\ud800\x7f\u2028é深"


def nested(depth: int) -> Any:
    found: Any = SPOOF
    for _ in range(depth):
        found = {"x": [found]}
    return found


ABOUTS: dict[str, dict[str, Any]] = {
    "texts that a terminal obeys": {
        **dict.fromkeys(("name", "source", "repo_id", "repo_type", "filename", "commit", "licence"), SPOOF),
        "content_hash": SPOOF,
        "recipe": {"build": {"family": SPOOF, "max_depth": SPOOF, "taps": SPOOF}, "dtype": SPOOF, "layout_version": 1},
    },
    "names that lead elsewhere": {
        "name": "x",
        "repo_id": "../../etc",
        "repo_type": "../../../../etc",
        "filename": "../../x",
        "content_hash": "../x",
        "recipe": {"build": "../x"},
    },
    "a path for a kind": {"name": "x", "repo_id": "me/forest", "repo_type": "/etc"},
    "nothing where it should be": {
        **{name: [SPOOF, {SPOOF: 1}] for name in ("name", "source", "repo_id", "repo_type", "content_hash")},
        "recipe": {"build": {"family": "v2-metric", "max_depth": 10**400}, "dtype": [], "layout_version": {}},
    },
    "numbers and truths": dict.fromkeys(("name", "source", "repo_id", "repo_type", "recipe", "content_hash"), True),
    "a recipe of nothing": {"name": None, "recipe": {"build": None, "dtype": None, "layout_version": 1}},
    "depth": {"name": nested(40), "source": nested(40), "recipe": nested(40)},
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of an entry for each of `ABOUTS`, of somebody who makes his own."""
    store, data = Store(tmp_path / "hostile"), io.BytesIO()
    for what, about in ABOUTS.items():
        put(store, what, about)
    export_bundle(store, store.keys(), {}, data.write)
    path = tmp_path / "hostile.tar"
    path.write_bytes(data.getvalue())
    return path


def put(store: Store, what: object, about: dict[str, Any]) -> Entry:
    with store.stage() as staging:
        with staging.file("weights.safetensors") as staged:
            staged.write(weights_of(what))
        return store.publish(key_of(what), staging, about=about)


def run(*argv: object, encoding: str) -> subprocess.CompletedProcess[str]:
    """The command as a terminal would see it, in an encoding that may have no letter for what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "depthhub", *map(str, argv)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=120,
        check=False,
    )
    out, err = (text.decode("ascii" if encoding == "ascii" else "utf-8") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def assert_harmless(text: str) -> None:
    assert "Traceback" not in text
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)
        assert not line.startswith("spoofed")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_verb_lets_a_record_reach_the_terminal(bundle: Path, cache: Path, tmp_path: Path, encoding: str) -> None:
    out = tmp_path / "again.tar"
    for argv in (
        ["cache", "import", bundle],
        ["cache", "list"],
        ["cache", "info"],
        ["list"],
        ["verify", "--deep"],
        ["cache", "export", "--all", "-o", out, "--force"],
        ["cache", "gc", "--max-size", "0", "--dry-run"],
        ["cache", "gc", "--max-size", "0"],
    ):
        for form in ([], ["--json"]):
            done = run(*argv, *form, encoding=encoding)
            assert done.returncode == 0, (argv, done.stderr)
            assert_harmless(done.stderr)
            if form:
                json.loads(done.stdout, parse_constant=pytest.fail)
            else:
                assert_harmless(done.stdout)


def test_letters_of_any_language_stay_and_the_rest_can_be_read(bundle: Path, cache: Path) -> None:
    run("cache", "import", bundle, encoding="utf-8")
    shown = run("cache", "list", encoding="utf-8").stdout
    assert r"\x1b[2J\x1b]0;owned\x07\x9b31mvits\nspoofed: line\r\u202e\udc9b\ud800\x7f\u2028é深" in shown
    listed = json.loads(run("cache", "list", "--json", encoding="ascii").stdout)
    assert SPOOF in [entry["record"]["about"].get("name") for entry in listed]  # for programs, as it is


def test_only_names_that_the_hub_could_have_are_looked_for_in_its_cache(bundle: Path, cache: Path) -> None:
    run("cache", "import", bundle, encoding="utf-8")
    entries = list(Store(cache).entries())
    assert len(entries) == len(ABOUTS)
    assert {repository_of(entry) for entry in entries} == {None}
    assert {recipe_of(entry) for entry in entries} == {None}
    assert json.loads(run("cache", "info", "--json", encoding="utf-8").stdout)["client_cache"] is None


def test_a_name_of_the_hub_is_looked_for(cache: Path) -> None:
    store = Store(cache)
    assert repository_of(put(store, 1, {"repo_id": "me/forest", "repo_type": "space"})) == ("space", "me/forest")
    assert repository_of(put(store, 2, {"repo_id": "me/forest"})) == ("model", "me/forest")


# one entry that a source leads to, whose record says something else than it was made from


@pytest.fixture
def retell(depthhub, tiny, cache):
    """`retell(name=...)`: pull `tiny`, and let its record say that."""

    def work(**about: Any) -> None:
        depthhub("pull", tiny, *V2)
        [entry] = Store(cache).entries()
        told = {**entry.record.about, **about}
        (entry.path / "entry.json").write_bytes(entry.record._replace(about=told).to_bytes())

    return work


def test_info_shows_what_a_record_says_and_lets_nothing_through(retell, tiny) -> None:
    retell(decisions=[SPOOF], licence=SPOOF, source=SPOOF)
    for encoding in ("utf-8", "ascii"):
        done = run("info", tiny, *V2, encoding=encoding)
        assert done.returncode == 0
        assert_harmless(done.stdout + done.stderr)
        assert "decisions" in done.stdout
    assert json.loads(run("info", tiny, *V2, "--json", encoding="utf-8").stdout)["provenance"]["licence"] == SPOOF


@pytest.mark.parametrize(
    "about",
    [
        {"source": None},
        {"name": ["v2-vits"]},
        {"repo_id": "../../etc"},
        {"repo_id": "../../etc", "repo_type": "model"},
        {"repo_id": ["me/forest"], "repo_type": "model"},
        {"repo_id": "me/forest", "repo_type": "../.."},
        {"repo_id": "me/forest", "repo_type": "model", "filename": "../../x.pth"},
        {"repo_id": "me/forest", "repo_type": "model", "filename": "x.pth", "commit": SPOOF},
        {"filename": nested(40)},
        {"content_hash": SPOOF},
        {"checkpoint_bytes": 10**400},
        {"checkpoint_bytes": -1},
        {"checkpoint_bytes": True},
        {"licence": {}},
        {"recipe": nested(40)},
        {"decisions": SPOOF},
        {"decisions": [1]},
        {"versions": []},
        {"versions": {"torch": [SPOOF]}},
    ],
    ids=lambda about: " ".join(about),
)
def test_a_record_that_says_what_cannot_be_is_broken_for_who_reads_it(retell, depthhub, tiny, about) -> None:
    retell(**about)
    outcome = depthhub("info", tiny, *V2)
    assert (outcome.code, outcome.out) == (6, "")
    assert "The record of entry" in outcome.err
    assert_harmless(outcome.err)
    for verb in (["path", tiny, *V2], ["cache", "list"], ["cache", "info"], ["verify"], ["list"]):
        assert depthhub(*verb).code == 0
