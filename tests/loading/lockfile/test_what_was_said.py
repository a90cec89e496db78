"""What was said of a model when it was locked is said again by whoever loads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthhub import FamilyError, LockfileError, lock
from depthhub.lockfile import Lockfile
from depthhub.locking import check, update
from depthhub.testing import LocalHub, make_checkpoint, transformers_config

from ...catalogs import checkpoint, write_catalog
from .models import FILE, REPO

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def config_of(family: str, **more: object) -> bytes:
    return json.dumps(transformers_config("tiny", family=family, **more)).encode()


def test_what_a_config_said_is_not_said_again_by_who_locks_anew(local_hub: LocalHub, tmp_path: Path) -> None:
    port = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file(REPO, "config.json", config_of("v2-metric", max_depth=80), lfs=False)
    local_hub.add_file(REPO, "model.safetensors", port)
    path = tmp_path / "l.lock"
    (before,) = lock([REPO], path).models
    assert (before.family, before.max_depth) == (None, None)
    local_hub.add_file(REPO, "config.json", config_of("v2"), lfs=False)
    (moved,) = update(path, [REPO]).models
    assert moved.recipe.build.family == "v2"
    local_hub.remove_file(REPO, "config.json")
    with pytest.raises(FamilyError, match="nothing tells how to build"):
        update(path, [REPO])
    assert Lockfile.read(path).models == (moved,)
    assert ("key", moved.key, None) in {stale[1:] for stale in check(path)[1]}


@pytest.mark.parametrize("said", [{"family": "v2"}, {"family": "v2-metric", "max_depth": 80}])
def test_what_was_said_when_it_was_locked_is_said_again(
    hub: LocalHub, tmp_path: Path, said: dict[str, Any], edited: Callable[..., Path]
) -> None:
    (before,) = lock([REPO], tmp_path / "l.lock", **said).models
    assert {name: value for name in ("family", "max_depth") if (value := getattr(before, name)) is not None} == said
    text = (tmp_path / "l.lock").read_text()
    hub.add_file(REPO, FILE, make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=3))
    (after,) = update(tmp_path / "l.lock", [REPO]).models
    assert after.sha256 != before.sha256
    assert after.recipe == before.recipe
    assert (after.family, after.max_depth) == (before.family, before.max_depth)
    assert len((tmp_path / "l.lock").read_text().splitlines()) == len(text.splitlines())
    with pytest.raises(LockfileError, match="is not what was said of how to build it"):
        Lockfile.read(edited(family="v1"))


@pytest.mark.parametrize("fact", ["family", "max_depth"])
def test_a_lock_that_leaves_out_what_was_said_is_refused(locked: Path, fact: str) -> None:
    text = json.loads(locked.read_text())
    del text["models"][0][fact]
    locked.write_text(json.dumps(text))
    with pytest.raises(LockfileError, match=f"field '{fact}' is missing"):
        Lockfile.read(locked)


def test_what_was_said_is_said_again_whatever_a_catalog_knows_since(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file(REPO, "w.safetensors", port)
    said: dict[str, Any] = {"family": "v2-metric", "max_depth": 80}
    (before,) = lock([REPO], tmp_path / "l.lock", **said).models
    build = {"family": "v2-metric", "max_depth": 20, "activation": "sigmoid", "taps": "spread"}
    entry = checkpoint("since", repo_id=REPO, filename="w.safetensors", build=build, layout="transformers")
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    with pytest.raises(FamilyError, match="asked for v2-metric up to 80 m, but the catalog knows"):
        update(tmp_path / "l.lock", [REPO])
    assert Lockfile.read(tmp_path / "l.lock").models == (before,)
    local_hub.remove_file(REPO, "w.safetensors")
    local_hub.add_file(REPO, "config.json", config_of("v2-metric", max_depth=20), lfs=False)
    local_hub.add_file(REPO, "new.safetensors", port)
    with pytest.warns(UserWarning, match="built as v2-metric up to 80 m, as you say; its config.json says"):
        (after,) = update(tmp_path / "l.lock", [REPO]).models
    assert (after.filename, after.recipe.build.max_depth) == ("new.safetensors", 80)


def test_what_a_catalog_told_when_it_was_locked_is_told_again_where_that_catalog_is_missing(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = {"family": "v2-metric", "max_depth": 80, "activation": "sigmoid", "taps": "spread"}
    entry = checkpoint("mine", repo_id=REPO, filename=FILE, build=build)
    with monkeypatch.context() as in_force:
        in_force.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
        before = lock([f"{REPO}/{FILE}"], tmp_path / "l.lock").models
    assert before[0].name == "mine"
    (after,) = update(tmp_path / "l.lock", [f"{REPO}/{FILE}"]).models
    assert after.recipe == before[0].recipe
    assert {stale.fact for stale in check(tmp_path / "l.lock")[1]} == set()
