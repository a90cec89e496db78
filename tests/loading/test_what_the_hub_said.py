"""What the Hub said of a name: remembered, refreshed, forgotten, and outdated by what it said since."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from depthhub import OfflineError, SourceError, from_pretrained, lock, prewarm, resolve
from depthhub.bundles import export_entries, import_entries
from depthhub.locking import check, update
from depthhub.progress import Progress
from depthhub.resolution import locate, resolve_here
from depthhub.steps.request import Request
from depthhub.testing import Fault, LocalHub, make_checkpoint, transformers_config
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_what_is_in_the_cache_is_told_as_a_load_would_find_it(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a network the client's cache does not say what a branch is, to `depthhub path` as little as to a load."""
    from huggingface_hub import hf_hub_download

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint)
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    prewarm([tiny], family="v2")
    asked = len(local_hub.requests)
    assert locate("o/r/t.pth", family="v2") is None
    with pytest.raises(OfflineError, match="only the Hub can tell"):
        resolve_here("o/r/t.pth", family="v2")
    assert len(local_hub.requests) == asked
    (new,) = prewarm(["o/r/t.pth"], family="v2")
    assert resolve_here("o/r/t.pth", family="v2").key == new.key
    there = locate("o/r/t.pth", family="v2")
    assert there is not None
    assert there.key == new.key
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    old = locate("o/r/t.pth", family="v2", cache_dir=tmp_path / "empty")
    assert old is None
    prewarm([tiny], family="v2", cache_dir=tmp_path / "empty")
    assert locate("o/r/t.pth", family="v2", cache_dir=tmp_path / "empty") is not None


def test_a_file_without_a_revision_is_of_its_main_branch_whatever_a_catalog_suggests(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a name of the catalog means the commit that it suggests."""
    local_hub.add_file("o/r", "t.pth", tiny)
    suggested = resolve("o/r/t.pth", family="v2").commit
    assert suggested is not None
    hinted = checkpoint("hinted", repo_id="o/r", filename="t.pth", revision=suggested, revision_corroborations=1)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", hinted)))
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    main = resolve("o/r/t.pth@main", refresh=True).commit
    assert main != suggested
    assert resolve("hinted").commit == suggested
    assert resolve("o/r/t.pth").commit == main
    (model,) = lock(["o/r/t.pth"], tmp_path / "l.lock").models
    assert (model.source, model.commit) == ("hf://o/r@main/t.pth", main)
    assert check(tmp_path / "l.lock")[1] == ()


@pytest.mark.parametrize("is_known", [False, True], ids=["the repository never asked for", "both asked for"])
@pytest.mark.parametrize("refreshed", ["o/r", "o/r/t.pth"])
def test_a_file_and_the_repository_that_means_it_are_refreshed_together(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, refreshed: str, is_known: bool
) -> None:
    local_hub.add_file("o/r", "t.pth", tiny)
    old = resolve("o/r/t.pth").commit
    if is_known:
        time.sleep(1.1)  # two answers, of two seconds
        resolve("o/r")
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    new = resolve(refreshed, refresh=True).commit
    assert new != old
    asked = len(local_hub.requests)
    assert [resolve(source).commit for source in ("o/r", "o/r/t.pth", "o/r/t.pth@main")] == [new] * 3
    assert len(local_hub.requests) == asked + (refreshed == "o/r/t.pth" and not is_known)
    local_hub.add_file("o/r", "another.pth", tiny)
    assert resolve("o/r/t.pth", refresh=True).commit != new
    with pytest.raises(SourceError, match="holds 2 files of weights"):
        resolve("o/r")


def test_a_repository_that_means_another_file_now_refreshes_that(
    local_hub: LocalHub, tiny: Path, tmp_path: Path
) -> None:
    local_hub.add_file("o/r", "a.pth", tiny)
    resolve("o/r")
    local_hub.add_file("o/r", "b.pth", tiny)
    resolve("o/r/b.pth")
    local_hub.remove_file("o/r", "a.pth")
    local_hub.add_file("o/r", "b.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    new = resolve("o/r", refresh=True)
    assert resolve("o/r/b.pth").content_hash == new.content_hash


def test_a_listing_is_not_taken_out_of_a_cache_on_the_way(local_hub: LocalHub, tiny: Path) -> None:
    local_hub.add_file("o/r", "t.pth", tiny)
    prewarm(["o/r/t.pth"], family="v2")
    told = [("/api/" in asked.path, asked.anew) for asked in local_hub.requests]
    assert set(told) == {(True, True), (False, False)}, "what has a commit stays as it is"


def test_without_a_network_a_refresh_is_said_to_be_none(
    local_hub: LocalHub, tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local_hub.add_file("o/r", "t.pth", tiny)
    prewarm(["o/r/t.pth"], family="v2")
    prewarm(["o/r/t.pth"], family="v2", offline=True, refresh=True)
    assert "without a network nobody is asked again; what is known here is taken" in caplog.text


def test_a_later_bundle_brings_later_answers(local_hub: LocalHub, tiny: Path, tmp_path: Path) -> None:
    """To a machine without a network, which has no other way to learn that a branch has moved."""

    def bundle(name: str) -> tuple[str, Path]:
        [made] = prewarm(["o/r/t.pth"], family="v2", refresh=True)
        out = tmp_path / name
        export_entries(Request.parse("o/r/t.pth").settings.open_store(), [made.key], out)
        return resolve("o/r/t.pth", family="v2").commit or "", out

    local_hub.add_file("o/r", "t.pth", tiny)
    older = bundle("older.tar")
    time.sleep(1.1)  # answers are dated to the second
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "newer.pth", encoder="tiny", seed=1))
    newer = bundle("newer.tar")
    for bundles in ([older, newer], [newer, older]):
        isolated = Store(tmp_path / f"isolated-{bundles[0][0]}")
        for _, path in bundles:
            import_entries(isolated, path)
        found = from_pretrained("o/r/t.pth", family="v2", offline=True, cache_dir=isolated.root)
        assert found.provenance.commit == newer[0]
    [name] = [name for name, _ in isolated.refs()]
    ref_path(isolated.root / "v1/refs", name).write_bytes(b"{")
    assert import_entries(isolated, older[1]).refs == (), "what is damaged may be later"
    covered = Store(tmp_path / "covered", below=[tmp_path / f"isolated-{older[0]}"])
    covered.forget(name)  # as `depthhub verify` does with a damaged one
    assert import_entries(covered, older[1]).refs == (), "what is covered since may be, too"


def test_a_slow_call_does_not_undo_what_the_hub_said_since(local_hub: LocalHub, tiny: Path, tmp_path: Path) -> None:
    local_hub.add_file("o/r", "t.pth", tiny, lfs=False)
    newer = make_checkpoint(tmp_path / "newer.pth", encoder="tiny", seed=1)
    commits = []

    def meanwhile(progress: Progress) -> None:
        if progress.stage == "converting" and not commits:
            local_hub.add_file("o/r", "t.pth", newer, lfs=False)
            commits.append(resolve("o/r/t.pth", family="v2", refresh=True).commit)

    from_pretrained("o/r/t.pth", family="v2", progress=meanwhile)
    assert [resolve("o/r/t.pth", family="v2").commit] == commits


@pytest.mark.parametrize(("path", "during"), [("config.json", None), ("api/models", 10)])
@pytest.mark.parametrize("named", ["", "/model.safetensors"])
def test_who_was_told_meanwhile_counts(
    wired: str, local_hub: LocalHub, tmp_path: Path, named: str, path: str, during: int | None
) -> None:
    """While one call waits for the rest of the Hub's answer, the branch moves, and another call is told so."""
    local_hub.inject(Fault.stall(1.5, after=during), path=path)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(resolve, wired)
        while not any(path in request.path for request in local_hub.requests):
            time.sleep(0.01)
        time.sleep(0.3)  # until what the answer says is decided
        newer = make_checkpoint(tmp_path / "n.safetensors", encoder="tiny", layout="transformers", seed=1)
        moved = local_hub.add_file(wired, "model.safetensors", newer)
        assert resolve(wired + named, refresh=True).commit == moved
        assert slow.result().commit != moved
    assert resolve(wired + named).commit == moved


def test_what_no_revision_means_is_main(local_hub: LocalHub, tiny: Path) -> None:
    local_hub.add_file("o/r", "t.pth", tiny)
    assert resolve("o/r/t.pth", family="v2").commit == resolve("o/r/t.pth@main", family="v2").commit
    assert [request.path for request in local_hub.requests] == ["/api/models/o/r/revision/main"]


def test_an_answer_that_cannot_be_remembered_leaves_no_older_one_in_its_place(
    local_hub: LocalHub, tiny: Path, tmp_path: Path
) -> None:
    newer = make_checkpoint(tmp_path / "newer.safetensors", encoder="tiny", layout="transformers", seed=1)
    config = {**transformers_config("tiny", family="v2"), "notes": ["é"] * 100_000}  # too long for a ref
    older = make_checkpoint(tmp_path / "older.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("o/r", "w.safetensors", older)
    first = from_pretrained("o/r/w.safetensors", family="v2").provenance.commit
    local_hub.add_file("o/r", "config.json", json.dumps(config, ensure_ascii=False).encode(), lfs=False)
    moved = local_hub.add_file("o/r", "w.safetensors", newer)
    assert moved != first
    for options in ({"refresh": True}, {}):
        assert from_pretrained("o/r/w.safetensors", family="v2", **options).provenance.commit == moved


def test_a_file_that_the_catalog_knows_is_built_as_it_says_however_it_is_asked_for(
    wired: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a repository alone, which has come to mean it: in the call that asks, and in later ones."""
    build = {"family": "v2-metric", "max_depth": 20, "activation": "sigmoid", "taps": "spread"}
    entry = checkpoint("mine", repo_id=wired, filename="model.safetensors", layout="transformers", build=build)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    for source in ("mine", f"{wired}/model.safetensors", wired, wired):
        config = from_pretrained(source).config
        assert (config.max_depth, config.taps) == (20, (1, 3, 5, 7)), source
    (before,) = lock([wired], tmp_path / "l.lock").models
    assert update(tmp_path / "l.lock", [wired]).models == (before,)
