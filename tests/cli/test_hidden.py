"""What the system hides or refuses: no verb takes it for nothing, and none ends well where it could do nothing."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthhub_cache import kept
from depthhub_cache.collection import Budget
from depthhub_cache.identity import ContentHash
from depthhub_cache.store import Store

from ..cache.children import in_a_child, needs_fork
from ..cache.samples import hash_of, key_of, publish
from .conftest import Outcome

pytestmark = [
    needs_fork,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a cache of another user"),
]
ORIGINAL = b"a checkpoint"


@pytest.fixture
def store(open_folder: Path) -> Store:
    """One that every user can read, with two entries, a ref and a kept original."""
    store = Store(open_folder / "cache")
    publish(store, "vits"), publish(store, "vitl")
    store.remember("vits", {"a": 1})
    keep(store, ORIGINAL)
    return store


@pytest.fixture
def as_nobody(depthhub: Callable[..., Outcome], store: Store) -> Callable[..., Outcome]:
    """`as_nobody("verify")`: the command of a user who is refused what root is not; and what it says."""
    for argv in (["verify", "--deep"], ["cache", "gc", "--max-size", "0"]):  # nobody may not even import what they need
        depthhub(*argv, "--cache-dir", twin(store).root)

    def run(*argv: object, cache: object = store.root) -> Outcome:
        outcome: Outcome = in_a_child(lambda: depthhub(*argv, "--cache-dir", cache), as_nobody=True)
        assert "Traceback" not in outcome.err
        return outcome

    return run


def keep(store: Store, data: bytes) -> ContentHash:
    content_hash = ContentHash(hash_of(data))
    with store.stage() as staging:
        store.keep(staging.add("tiny.pth", data), content_hash)
    return content_hash


def twin(store: Store) -> Store:
    """Another one with as much in it."""
    other = Store(store.root.with_name("twin"))
    publish(other, "vits")
    keep(other, ORIGINAL)
    return other


def shelf_of(store: Store, name: str) -> Path:
    return store.tiers[0].entry_folder(key_of(name)).parent


def original_of(store: Store) -> Path:
    path = store.kept(ContentHash(hash_of(ORIGINAL)))
    assert path is not None
    return path


def states(outcome: Outcome) -> list[str]:
    return [checked["state"] for checked in outcome.json]


def paths(outcome: Outcome) -> list[str]:
    return [checked["error"]["path"] for checked in outcome.json if checked["error"]]


# verify


def test_where_nothing_is_hidden_all_is_well(as_nobody) -> None:
    for argv in (["verify"], ["verify", "--deep"], ["cache", "list"], ["cache", "info"], ["cache", "gc"]):
        assert as_nobody(*argv).code == 0


@pytest.mark.parametrize("mode", [0o700, 0o711, 0o744])
@pytest.mark.parametrize("area", ["entries", "refs"])
def test_verify_says_which_folder_of_the_cache_it_cannot_read(as_nobody, store, area, mode) -> None:
    hidden = shelf_of(store, "vits") if area == "entries" else next((store.root / "v1" / "refs").iterdir())
    hidden.chmod(mode)
    if (area, mode) == ("refs", 0o744):
        hidden = next(hidden.iterdir())
    outcome = as_nobody("verify", "--json")
    assert outcome.code == 8
    assert sorted(states(outcome)) == ["sound"] * (2 if area == "refs" else 1) + ["unreadable"]
    assert [path for path in paths(outcome) if path.startswith(str(hidden))] == paths(outcome)
    assert f"{hidden}" in outcome.err
    assert "Permission denied" in outcome.err
    assert "unreadable" in as_nobody("verify").out


@pytest.mark.parametrize("hide", ["", "v1", "v1/entries"])
def test_verify_says_that_a_tier_below_is_hidden(as_nobody, store, open_folder, hide) -> None:
    below = Store(open_folder / "below")
    publish(below, "vitb")
    (below.root / hide).chmod(0o700)
    outcome = as_nobody("verify", "--json", cache=f"{store.root}{os.pathsep}{below.root}")
    assert outcome.code == 8
    assert sorted(states(outcome)) == ["sound", "sound", "unreadable"]
    assert paths(outcome) == [str(below.root / "v1" / "entries")]


def test_verify_says_that_a_shelf_of_a_tier_below_is_hidden_and_leaves_it(as_nobody, store, open_folder) -> None:
    below = Store(open_folder / "below")
    shelf_of(below, "vitb").parent.mkdir(parents=True)
    publish(below, "vitb")
    shelf_of(below, "vitb").chmod(0o700)
    outcome = as_nobody("verify", "--json", cache=f"{store.root}{os.pathsep}{below.root}")
    assert (outcome.code, paths(outcome)) == (8, [str(shelf_of(below, "vitb"))])


@pytest.mark.parametrize("hide", ["v1/entries", "a shelf"])
def test_of_what_is_hidden_no_verb_says_that_it_is_not_there(as_nobody, store, open_folder, hide) -> None:
    (shelf_of(store, "vits") if hide == "a shelf" else store.root / hide).chmod(0o700)
    key, out = key_of("vits"), open_folder / "all.tar"
    for argv in (
        ["verify", key[:8]],
        ["cache", "pin", key[:8]],
        ["cache", "remove", key],
        ["cache", "export", key, "-o", out],
    ):
        outcome = as_nobody(*argv)
        assert outcome.code == 8, argv
        assert "Permission denied" in outcome.err
    assert as_nobody("cache", "export", "--all", "-o", out).code == 8
    assert not out.exists(), "a part of it would only be missed where it arrives"
    assert as_nobody("cache", "remove", "--all", "--dry-run").code == 8
    assert as_nobody("verify", "f" * 64).code == (3 if hide == "a shelf" else 8)


def test_a_tier_below_that_is_not_there_is_nothing_hidden(as_nobody, store, open_folder) -> None:
    assert as_nobody("verify", cache=f"{store.root}{os.pathsep}{open_folder / 'none'}").code == 0


def test_an_entry_that_cannot_be_read_is_unreadable_and_not_broken(as_nobody, store) -> None:
    (shelf_of(store, "vits") / key_of("vits") / "weights.safetensors").chmod(0o600)
    outcome = as_nobody("verify", "--json")
    assert (outcome.code, sorted(states(outcome))) == (8, ["sound", "unreadable"])
    [checked] = [checked for checked in outcome.json if checked["state"] == "unreadable"]
    assert (checked["key"], checked["quarantine"]) == (key_of("vits"), None)


@pytest.mark.parametrize("hide", ["file", "folder", "shelf", "all"])
@pytest.mark.parametrize("mode", [0o600, 0o700, 0o744])
def test_verify_deep_counts_a_kept_checkpoint_that_cannot_be_read(as_nobody, store, hide, mode) -> None:
    file = original_of(store)
    place = {"file": file, "folder": file.parent, "shelf": file.parents[1], "all": file.parents[2]}[hide]
    if (hide, mode) == ("file", 0o744):
        mode = 0o600
    place.chmod(mode)
    assert as_nobody("verify").code == 0
    outcome = as_nobody("verify", "--deep", "--json")
    assert (outcome.code, sorted(states(outcome))) == (8, ["sound", "sound", "unreadable"])
    assert "Permission denied" in outcome.err
    assert "3 checked, 1 failed" in outcome.err


def test_verify_deep_counts_a_kept_checkpoint_whose_disk_fails(depthhub, store, monkeypatch) -> None:
    file, read = original_of(store), kept.sha256_of

    def failing(path: Path) -> Any:
        if path == file:
            raise OSError(5, "Input/output error", str(path))
        return read(path)

    monkeypatch.setattr(kept, "sha256_of", failing)
    outcome = depthhub("verify", "--deep", "--json", "--cache-dir", store.root)
    assert (outcome.code, sorted(states(outcome))) == (8, ["sound", "sound", "unreadable"])
    assert file.exists()


def test_a_damaged_kept_checkpoint_is_still_broken(depthhub, store) -> None:
    file = original_of(store)
    file.write_bytes(b"another")
    outcome = depthhub("verify", "--deep", "--json", "--cache-dir", store.root)
    assert (outcome.code, sorted(states(outcome))) == (6, ["broken", "sound", "sound"])
    assert "tiny.pth has sha256" in outcome.err
    assert not file.exists()


# everything else: a typed error, and no traceback


@pytest.mark.parametrize(
    "argv",
    [
        ["convert", "{tiny}", "--family", "v2", "-o", "{hidden}/far/x.safetensors"],
        ["cache", "export", "--all", "-o", "{hidden}/far/x.tar"],
        ["cache", "import", "{hidden}/far/x.tar"],
        ["predict", "{hidden}/far/x.jpg", "-m", "vits", "-o", "{hidden}/far/x.png"],
        ["identify", "{hidden}/far/x.pth"],
        ["pull", "{hidden}/far/x.pth"],
        ["verify", "{hidden}/far/x.pth"],
    ],
    ids=lambda argv: argv[0] if argv[0] != "cache" else argv[1],
)
def test_a_path_that_is_hidden_is_an_error_that_says_so(as_nobody, depthhub, store, open_folder, tiny, argv) -> None:
    (open_folder / "hidden").mkdir(mode=0o700)
    (checkpoint := open_folder / "tiny.pth").write_bytes(tiny.read_bytes())
    argv = [text.format(hidden=open_folder / "hidden", tiny=checkpoint) for text in argv]
    cache = [] if argv[0] in ("convert", "identify") else ["--cache-dir", store.root]
    depthhub(*argv, *cache)  # nobody may not even import what it needs
    outcome = in_a_child(lambda: depthhub(*argv, *cache), as_nobody=True)
    assert outcome.code in (6, 8), outcome.err
    assert "Permission denied" in outcome.err or "permission denied" in outcome.err
    assert str(open_folder / "hidden") in outcome.err


# list and info


@pytest.mark.parametrize("verb", ["list", "info"])
def test_what_is_shown_is_not_taken_for_all_there_is(as_nobody, store, open_folder, verb) -> None:
    shelf_of(store, "vits").chmod(0o700)
    outcome = as_nobody("cache", verb, "--json")
    assert outcome.code == 8
    assert str(shelf_of(store, "vits")) in outcome.err
    assert (len(outcome.json) if verb == "list" else outcome.json["entries"]["count"]) == 1
    shelf_of(store, "vits").chmod(0o755)
    (open_folder / "below").mkdir(mode=0o700)
    roots = f"{store.root}{os.pathsep}{open_folder / 'below'}"
    assert as_nobody("cache", verb, cache=roots).code == 8


def test_a_quarantine_that_is_hidden_is_not_called_empty(as_nobody, store) -> None:
    (store.root / "v1" / "quarantine").mkdir(mode=0o700)
    outcome = as_nobody("cache", "quarantine")
    assert outcome.code == 8
    assert "is empty" not in outcome.err


# gc


def test_gc_that_may_not_remove_says_so_and_is_code_8(as_nobody, store) -> None:
    outcome = as_nobody("cache", "gc", "--max-size", "0", "--json")
    assert outcome.code == 8
    assert outcome.json["freed"] == []
    assert len(outcome.json["refused"]) == len(outcome.json["spared"]) == 3
    assert {error["exit_code"] for error in outcome.json["refused"]} == {8}
    assert "permission denied" in outcome.err
    assert len(list(store.entries())) == 2
    assert "0 B freed" in outcome.err


def test_gc_that_spares_what_is_held_is_code_0(depthhub, store) -> None:
    store.pin(key_of("vits"))
    with store.lease(store.get(key_of("vitl"))):
        outcome = depthhub("cache", "gc", "--max-size", "0", "--json", "--cache-dir", store.root)
    assert (outcome.code, outcome.json["refused"]) == (0, [])
    assert sorted(decision["why"].split()[0] for decision in outcome.json["spared"]) == ["in", "pinned"]


def test_gc_on_a_read_only_file_system_is_code_8(depthhub, mount) -> None:
    store = Store(mount("size=4m") / "cache")
    publish(store, "vits")
    subprocess.run(["mount", "-o", "remount,ro", str(store.root.parent)], check=True)
    outcome = depthhub("cache", "gc", "--max-size", "0", "--json", "--cache-dir", store.root)
    assert (outcome.code, len(outcome.json["refused"])) == (8, 1)
    assert "the file system is read-only" in outcome.err


def test_gc_in_a_dry_run_is_refused_nothing(as_nobody, store) -> None:
    outcome = as_nobody("cache", "gc", "--max-size", "0", "--dry-run", "--json")
    assert (outcome.code, len(outcome.json["freed"]), outcome.json["refused"]) == (0, 3, [])


@pytest.mark.parametrize("area", ["entries", "leases", "pins", "tmp"])
def test_gc_that_cannot_see_all_is_code_8(as_nobody, store, area) -> None:
    hidden = shelf_of(store, "vits") if area == "entries" else store.root / "v1" / area
    hidden.mkdir(exist_ok=True)
    hidden.chmod(0o700)
    outcome = as_nobody("cache", "gc", "--json")
    assert outcome.code == 8
    assert [error["path"] for error in outcome.json["refused"]] == [str(hidden)]


def test_gc_that_may_not_sweep_rubbish_is_code_8(as_nobody, depthhub, store) -> None:
    rubbish = store.root / "v1" / "tmp" / "elsewhere-1-1-aaaaaaaa"
    rubbish.mkdir()
    os.utime(rubbish, (time.time() - 30 * 86_400,) * 2)
    outcome = as_nobody("cache", "gc", "--json")
    assert (outcome.code, [error["path"] for error in outcome.json["refused"]]) == (8, [str(rubbish)])
    assert depthhub("cache", "gc", "--cache-dir", store.root).code == 0
    assert not rubbish.exists()


def test_gc_that_may_only_half_remove_rubbish_is_code_8(as_nobody, store) -> None:
    tmp = store.root / "v1" / "tmp"
    tmp.chmod(0o777)
    rubbish = tmp / "elsewhere-1-1-aaaaaaaa"
    rubbish.mkdir(mode=0o755)
    (rubbish / "part").write_bytes(b"half")
    for path in (rubbish / "part", rubbish):
        os.utime(path, (time.time() - 30 * 86_400,) * 2)
    outcome = as_nobody("cache", "gc", "--json")
    [left] = tmp.iterdir()
    assert (outcome.code, [error["path"] for error in outcome.json["refused"]]) == (8, [str(left)])
    assert (left / "part").read_bytes() == b"half"


def test_a_quarantine_that_may_not_be_cleared_is_code_8(as_nobody, depthhub, store) -> None:
    store.distrust(store.get(key_of("vits")), "a bit was flipped")
    outcome = as_nobody("cache", "quarantine", "--clear")
    assert outcome.code == 8
    assert "cannot be removed" in outcome.err
    assert depthhub("cache", "quarantine", "--clear", "--cache-dir", store.root).code == 0
    assert store.collect(Budget()).spared == ()
