"""What a lockfile says, and how it is written, checked and renewed."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from depthhub import DepthHubError, LockfileError, NotLockedError, OfflineError, OptionError, lock, prewarm
from depthhub.checkpoint.recipe import Recipe
from depthhub.lockfile import Lockfile
from depthhub.locking import check, update
from depthhub.model.config import Build
from depthhub.testing import LocalHub, make_checkpoint
from depthhub_cache.store import Store

from ...catalogs import checkpoint, write_catalog
from .models import CARD, FILE, REPO

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_it_says_everything_about_a_model(locked: Path, hub: LocalHub, cache: Path) -> None:
    (model,) = Lockfile.read(locked).models
    (entry,) = Store(cache).entries()
    assert model.source == "hf://me/forest@main"
    assert (model.repo_id, model.repo_type, model.filename) == (REPO, "model", FILE)
    assert model.licence == "mit"
    assert model.recipe == Recipe(Build("v2"))
    assert (model.key, model.weights_sha256) == (entry.key, entry.record.weights_sha256)
    assert model.weights_size == entry.weights.stat().st_size
    assert model.size == entry.record.about["checkpoint_bytes"]
    assert entry.record.about["licence"] == "mit"


def test_the_same_models_give_the_same_bytes_in_whatever_order(hub: LocalHub, cache: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.lock", tmp_path / "other.lock"
    hub.add_file("me/field", FILE, make_checkpoint(tmp_path / "field.pth", encoder="tiny"))
    lock(["me/field", REPO], one, family="v2")
    lock([f"{REPO}@main", "me/field@main", REPO], other, family="v2")
    assert one.read_bytes() == other.read_bytes()
    assert Lockfile.read(one).to_bytes() == one.read_bytes()
    assert [model["source"] for model in json.loads(one.read_text())["models"]] == [
        "hf://me/field@main",
        "hf://me/forest@main",
    ]


def test_add_keeps_what_is_there_and_a_dtype_is_a_model_of_its_own(locked: Path) -> None:
    lock([REPO], locked, add=True, family="v2", dtype="float16")
    assert [model.recipe.dtype for model in Lockfile.read(locked).models] == [None, "float16"]
    assert len(prewarm(lockfile=locked)) == 2


def test_a_file_here_cannot_be_locked(tiny: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(OptionError, match="a file of this machine"):
        lock([str(tiny)], tmp_path / "depthhub.lock", family="v2")
    assert not (tmp_path / "depthhub.lock").exists()


def test_check_finds_a_branch_that_moved_and_one_that_is_gone(locked: Path, hub: LocalHub) -> None:
    assert check(locked)[1] == ()
    before = Lockfile.read(locked).models[0].commit
    moved = hub.add_file(REPO, "more.txt", b"more", lfs=False)
    (stale,) = check(locked)[1]
    assert (stale.fact, stale.locked, stale.now) == ("commit", before, moved)
    hub.remove_file(REPO, FILE)
    hub.remove_file(REPO, "README.md")
    (stale,) = check(locked)[1]
    assert (stale.fact, stale.now) == ("commit", None)


def test_check_finds_another_file_another_licence_and_downloads_neither(
    locked: Path, hub: LocalHub, tmp_path: Path
) -> None:
    hub.add_file(REPO, FILE, make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=7))
    hub.add_file(REPO, "README.md", CARD.replace(b"MIT", b"cc-by-nc-4.0"), lfs=False)
    hub.clear_log()
    assert [stale.fact for stale in check(locked)[1]] == ["commit", "sha256", "licence", "key"]
    assert [request.path for request in hub.requests if "resolve" in request.path] == []


def test_update_locks_one_source_anew_and_leaves_the_others(locked: Path, hub: LocalHub, tmp_path: Path) -> None:
    hub.add_file("me/field", FILE, make_checkpoint(tmp_path / "field.pth", encoder="tiny"))
    lock(["me/field"], locked, add=True, family="v2")
    before = {model.source: model for model in Lockfile.read(locked).models}
    for repo in (REPO, "me/field"):
        hub.add_file(repo, "more.txt", b"more", lfs=False)
    after = {model.source: model for model in update(locked, [REPO]).models}
    assert after["hf://me/field@main"] == before["hf://me/field@main"]
    assert after["hf://me/forest@main"].commit != before["hf://me/forest@main"].commit
    assert Lockfile.read(locked).models == tuple(after.values())
    with pytest.raises(NotLockedError):
        update(locked, ["me/river"])


def test_a_lock_that_fails_leaves_the_file_as_it_was(locked: Path, hub: LocalHub) -> None:
    before = locked.read_bytes()
    with pytest.raises(DepthHubError):
        lock([REPO, "me/river"], locked, family="v2")
    assert locked.read_bytes() == before
    assert sorted(path.name for path in locked.parent.iterdir() if path.suffix in (".lock", ".part")) == [locked.name]


def test_a_lockfile_in_force_does_not_hinder_locking(
    locked: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(locked))
    hub.add_file("me/field", FILE, make_checkpoint(tmp_path / "field.pth", encoder="tiny"))
    assert len(lock(["me/field"], locked, add=True, family="v2").models) == 2


def test_without_a_network_a_branch_is_not_said_to_be_where_it_was(locked: Path) -> None:
    before = locked.read_bytes()
    for way in (check, partial(update, sources=[REPO]), partial(lock, [REPO], family="v2")):
        with pytest.raises(OfflineError, match="only the Hub can tell"):
            way(locked, offline=True)
    assert locked.read_bytes() == before
    assert check(locked)[1] == ()


def test_nor_is_a_name_whose_catalog_pins_nothing(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = checkpoint("mine", repo_id=REPO, filename=FILE)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", mine)))
    for source in ("mine", "mine@main"):
        lock([source], tmp_path / "l.lock")
        before = (tmp_path / "l.lock").read_bytes()
        for way in (check, partial(update, sources=[source]), partial(lock, [source])):
            with pytest.raises(OfflineError, match="only the Hub can tell"):
                way(tmp_path / "l.lock", offline=True)
        assert (tmp_path / "l.lock").read_bytes() == before
    (model,) = Lockfile.read(tmp_path / "l.lock").models
    lock([f"mine@{model.commit}"], tmp_path / "l.lock", offline=False)
    assert check(tmp_path / "l.lock", offline=True)[1] == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links, and a pipe with a name")
def test_a_link_to_a_lockfile_stays_one_and_what_is_no_file_stays_too(hub: LocalHub, tmp_path: Path) -> None:
    link = tmp_path / "link.lock"
    link.symlink_to(tmp_path / "there.lock")
    for _ in range(2):
        lock([REPO], link, family="v2")
        assert link.is_symlink()
        assert Lockfile.read(tmp_path / "there.lock").models == Lockfile.read(link).models
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OptionError, match="is no lockfile"):
        lock([REPO], tmp_path / "pipe", family="v2")
    assert (tmp_path / "pipe").is_fifo()


def test_what_never_was_a_lockfile_is_not_written_over(hub: LocalHub, tiny: Path, tmp_path: Path) -> None:
    """A slip: elsewhere -o is the file that comes of it."""
    mine = tmp_path / "best.pth"
    shutil.copy(tiny, mine)
    with pytest.raises(OptionError, match="is no lockfile that can be read; choose another place"):
        lock([REPO], mine, family="v2")
    assert mine.read_bytes() == tiny.read_bytes()
    assert hub.requests == [], "nothing is fetched for what cannot be written"
    (tmp_path / "empty.lock").touch()
    assert lock([REPO], tmp_path / "empty.lock", family="v2").models


def test_a_file_that_cannot_be_read_is_written_anew_and_not_added_to(locked: Path, cache: Path) -> None:
    locked.write_text(f"<<<<<<< ours\n{locked.read_text()}")
    with pytest.raises(LockfileError):
        lock([REPO], locked, family="v2", add=True)
    lock([REPO], locked, family="v2")
    assert len(Lockfile.read(locked).models) == 1
