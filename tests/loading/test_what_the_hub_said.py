"""What is remembered of the Hub's answers: whole, of the Hub that gave it, and never older than what came since."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from depthhub import FamilyError, MismatchError, OfflineError, SourceError, from_pretrained, lock, prewarm, resolve
from depthhub.bundles import export_entries, import_entries
from depthhub.depth_model import DepthModel
from depthhub.locking import check, update
from depthhub.progress import Progress
from depthhub.resolution import locate, resolve_here
from depthhub.steps.request import Request
from depthhub.testing import Fault, LocalHub, make_checkpoint, transformers_config
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

OTHER_TAPS = [1, 2, 3, 8]
"""`out_indices` that no family has of itself."""


@pytest.fixture
def wired(local_hub: LocalHub, tmp_path: Path) -> str:
    """A repository whose config.json says what no caller can: other taps."""
    config = transformers_config("tiny", family="v2-metric", max_depth=80)
    taps = {"out_indices": OTHER_TAPS, "out_features": [f"stage{stage}" for stage in OTHER_TAPS]}
    config["backbone_config"].update(taps)
    local_hub.add_file("me/wired", "config.json", json.dumps(config).encode(), lfs=False)
    port = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("me/wired", "model.safetensors", port)
    return "me/wired"


@pytest.mark.parametrize("options", [{}, {"family": "v2-metric", "max_depth": 80}])
def test_the_taps_of_a_config_count_whatever_the_caller_says_besides(
    wired: str, tmp_path: Path, options: dict[str, object]
) -> None:
    taps = from_pretrained(wired).config.taps
    assert from_pretrained(wired, cache_dir=tmp_path / "fresh", **options).config.taps == taps
    assert from_pretrained(wired, **options).config.taps == taps


def test_a_lock_of_other_taps_is_renewed_with_them(wired: str, tmp_path: Path) -> None:
    (before,) = lock([wired], tmp_path / "l.lock").models
    assert before.recipe.build.taps is not None
    assert check(tmp_path / "l.lock")[1] == ()
    assert update(tmp_path / "l.lock", [wired]).models == (before,)


def test_a_config_that_is_there_and_cannot_be_had_is_an_error(wired: str, local_hub: LocalHub) -> None:
    local_hub.inject(Fault.status(404), path="config.json", times=None)
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        resolve(wired, family="v2-metric", max_depth=80)


@pytest.mark.parametrize("size", [400_000, 2_000_000])
def test_a_config_that_is_too_long_to_be_remembered_is_no_obstacle(
    local_hub: LocalHub, tmp_path: Path, size: int
) -> None:
    config = {**transformers_config("tiny", family="v2"), "notes": ["é"] * (size // 8)}
    local_hub.add_file("me/long", "config.json", json.dumps(config, ensure_ascii=False).encode(), lfs=False)
    port = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("me/long", "model.safetensors", port)
    assert from_pretrained("me/long", family="v2").config.family == "v2"


def test_what_the_clients_cache_has_is_believed_offline_alone(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be old, and it does not say of which Hub it is."""
    from huggingface_hub import hf_hub_download

    def content_hash(**options: bool) -> str:
        return from_pretrained("o/r/t.pth", family="v2", **options).provenance.content_hash

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint)
    old = content_hash(offline=True)
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    new = content_hash()
    assert new != old
    assert content_hash(offline=True) == new
    with LocalHub() as mirror:
        mirror.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "mirrored.pth", encoder="tiny", seed=2))
        monkeypatch.setenv("HF_ENDPOINT", mirror.endpoint)
        assert content_hash(offline=True) == old
        mirrored = content_hash()
        assert mirrored not in (old, new)
        assert content_hash(offline=True) == mirrored


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


@pytest.mark.parametrize("content", ['{"max_depth": NaN}', "{", "[]", "x" * (2 << 20)])
def test_a_config_that_cannot_be_read_is_told_at_each_call(local_hub: LocalHub, tmp_path: Path, content: str) -> None:
    port = make_checkpoint(tmp_path / "depth_anything_v2_vits.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("o/r", port.name, port)
    local_hub.add_file("o/r", "config.json", content.encode(), lfs=False)
    for offline in (False, False, True):
        with pytest.raises(FamilyError, match=r"its config\.json cannot be read: .*, and its name suggests v2"):
            prewarm(["o/r"], offline=offline)
        with pytest.warns(UserWarning, match=r"built as v1, as you say; its config\.json cannot be read"):
            prewarm(["o/r"], family="v1", offline=offline)


@pytest.mark.parametrize("way", ["by a catalog", "without a config"])
def test_what_was_found_without_a_look_at_its_config_is_taken_with_a_warning(
    local_hub: LocalHub,
    hub_environment: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    from huggingface_hub import hf_hub_download

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint)
    mine = checkpoint("mine", repo_id="o/r", filename="t.pth")
    never_asked = "whether a config.json beside it says how to build it was never asked here"
    if way == "by a catalog":
        with monkeypatch.context() as in_force:
            in_force.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", mine)))
            prewarm(["mine"], offline=True)
            shutil.rmtree(hub_environment / "hub")
            prewarm(["mine"], offline=True)
        assert never_asked not in caplog.text
    else:
        prewarm(["o/r/t.pth"], family="v2", offline=True)
        assert never_asked in caplog.text
        shutil.rmtree(hub_environment / "hub")
    for _ in range(2):
        caplog.clear()
        prewarm(["o/r/t.pth"], family="v2", offline=True)
        assert never_asked in caplog.text
    with pytest.raises(FamilyError):
        prewarm(["o/r/t.pth"], offline=True)


@pytest.mark.parametrize("source", ["o/r/t.pth", "o/r", "mine"])
def test_a_branch_of_which_the_catalog_does_not_speak_is_built_alike_with_a_warning(
    local_hub: LocalHub,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    source: str,
) -> None:
    local_hub.add_file("o/r", "t.pth", tiny)
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    local_hub.add_file("o/r", "t.pth", other, revision="indoor")
    mine = checkpoint("mine", repo_id="o/r", filename="t.pth")
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", mine)))
    prewarm([source, f"{source}@main"])
    assert caplog.messages == []
    prewarm([f"{source}@indoor"])
    assert "is not at the commit that the catalog knows as mine; it is built the same way" in caplog.text


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


def test_offline_what_the_clients_cache_has_now_comes_before_what_it_had(
    local_hub: LocalHub, tmp_path: Path, hub_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on the nodes of a cluster, where another node downloads."""
    from huggingface_hub import hf_hub_download

    def offline(**options: Any) -> DepthModel:
        return from_pretrained("o/r/w.safetensors", offline=True, **options)

    files = [
        make_checkpoint(tmp_path / f"{n}.safetensors", encoder="tiny", layout="transformers", seed=n) for n in (1, 2)
    ]
    local_hub.add_file("o/r", "w.safetensors", files[0])
    hf_hub_download("o/r", "w.safetensors", endpoint=local_hub.endpoint)
    first = offline(family="v2").provenance
    assert "whether a config.json beside it says how to build it was never asked here" in caplog.text
    stages: list[str] = []
    assert offline(family="v2", progress=lambda told: stages.append(told.stage)).provenance.commit == first.commit
    assert stages == [], "nothing is read twice to be found"
    local_hub.add_file("o/r", "w.safetensors", files[1])
    config = transformers_config("tiny", family="v2-metric", max_depth=80)
    local_hub.add_file("o/r", "config.json", json.dumps(config).encode(), lfs=False)
    for name in ("w.safetensors", "config.json"):
        hf_hub_download("o/r", name, endpoint=local_hub.endpoint)
    second = offline()
    assert second.provenance.content_hash != first.content_hash
    assert second.config.max_depth == 80
    for blob in (hub_environment / "hub/models--o--r/blobs").iterdir():
        if blob.stat().st_size < 10_000:  # that of the config.json
            blob.unlink()
    assert offline().config.max_depth == 80, "what is gone was known"
    shutil.rmtree(hub_environment / "hub")
    caplog.clear()
    assert offline().provenance.commit == second.provenance.commit
    assert "which was found here once" in caplog.text


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


def test_a_clients_cache_that_is_not_text_is_as_if_it_were_not_there(
    local_hub: LocalHub, tiny: Path, hub_environment: Path
) -> None:
    from huggingface_hub import hf_hub_download

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint)
    (hub_environment / "hub/models--o--r/refs/main").write_bytes(b"\xff\xfe" * 20)
    with pytest.raises(OfflineError):
        from_pretrained("o/r/t.pth", family="v2", offline=True)


def test_a_config_that_nobody_vouches_for_is_told(
    local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mirror that tells names only."""
    commit, names = "a" * 40, ("config.json", "w.safetensors")
    listing = json.dumps({"sha": commit, "siblings": [{"rfilename": name} for name in names]})
    config = json.dumps(transformers_config("tiny", family="v2-metric", max_depth=20))
    port = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("a/mirror", "api/models/me/repo/revision/main", listing.encode(), lfs=False)
    local_hub.add_file("a/mirror", f"me/repo/resolve/{commit}/config.json", config.encode(), lfs=False)
    local_hub.add_file("a/mirror", f"me/repo/resolve/{commit}/w.safetensors", port, lfs=False)
    monkeypatch.setenv("HF_ENDPOINT", f"{local_hub.endpoint}/a/mirror/resolve/main")
    assert from_pretrained("me/repo").config.max_depth == 20
    assert "tells no digest of its config.json" in caplog.text


@pytest.mark.parametrize("of", ["commit", "config"])
def test_what_the_clients_cache_cannot_prove_is_not_remembered(
    local_hub: LocalHub, tmp_path: Path, hub_environment: Path, caplog: pytest.LogCaptureFixture, of: str
) -> None:
    from huggingface_hub import hf_hub_download

    config = json.dumps(transformers_config("tiny", family="v2-metric", max_depth=80)).encode()
    local_hub.add_file("me/repo", "config.json", config, lfs=False)
    port = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    commit = local_hub.add_file("me/repo", "w.safetensors", port)
    for name in ("w.safetensors", "config.json"):
        path = Path(hf_hub_download("me/repo", name, endpoint=local_hub.endpoint))
    if of == "commit":
        other = "1" * 40
        (hub_environment / "hub/models--me--repo/refs" / other).write_text(commit)
        with pytest.raises(OfflineError):
            from_pretrained("me/repo/w.safetensors", revision=other, offline=True)
        return
    path.unlink()  # the link: an editor leaves a file
    for metres in (20, 30):
        path.write_bytes(config.replace(b"80", b"%d" % metres))
        assert from_pretrained("me/repo/w.safetensors", offline=True).config.max_depth == metres
        assert f"{path}: nothing tells whether it is as the Hub has it" in caplog.text
    assert from_pretrained("me/repo/w.safetensors").config.max_depth == 80


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


@pytest.mark.parametrize("of", ["another size", "another layout"])
@pytest.mark.parametrize("place", ["cache", "remote store"])
def test_a_config_of_another_model_decides_nothing_wherever_the_entry_comes_from(
    local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str, place: str
) -> None:
    """Neither where the entry is made, nor where it is found: as somebody had made it, who said so himself."""
    config = transformers_config("tiny", family="v2-metric", max_depth=20)
    if of == "another size":
        config["backbone_config"] |= {"num_hidden_layers": 12, "out_indices": [3, 6, 9, 12]}
        config["backbone_config"].pop("out_features", None)
    layout = "transformers" if of == "another size" else "original"
    weights = make_checkpoint(tmp_path / "weights.safetensors", encoder="tiny", layout=layout)  # type: ignore[arg-type]
    for repo in ("me/mixed", "me/plain"):
        local_hub.add_file(repo, "weights.safetensors", weights)
    local_hub.add_file("me/mixed", "config.json", json.dumps(config).encode(), lfs=False)
    with pytest.raises(MismatchError, match="of another file"):
        from_pretrained("me/mixed")
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(tmp_path / "remote"))
    (tmp_path / "remote").mkdir()
    elsewhere = tmp_path / "elsewhere"
    prewarm(["me/plain"], family="v2-metric", max_depth=20, cache_dir=elsewhere)
    with monkeypatch.context() as pushing:
        pushing.setenv("DEPTHHUB_PUSH", "1")
        prewarm(["me/plain"], family="v2-metric", max_depth=20, cache_dir=elsewhere)
    for _ in range(2):
        with pytest.raises(MismatchError, match="of another file"):
            from_pretrained("me/mixed", cache_dir=elsewhere if place == "cache" else None)
    assert from_pretrained("me/mixed", family="v2-metric", max_depth=20).config.max_depth == 20


@pytest.mark.parametrize("options", [{"family": "v2"}, {"family": "v2-metric", "max_depth": 20}])
def test_a_converted_file_on_the_hub_is_what_it_says_of_itself(
    local_hub: LocalHub, tiny: Path, options: dict[str, object]
) -> None:
    [converted] = prewarm([tiny], family="v2-metric", max_depth=80)
    local_hub.add_file("me/converted", "weights.safetensors", converted.path)
    with pytest.raises(MismatchError, match="says of itself"):
        from_pretrained("me/converted", **options)
    assert from_pretrained("me/converted", family="v2-metric", max_depth=80).config.max_depth == 80


def test_an_answer_that_did_not_ask_for_the_config_does_not_say_that_there_is_none(
    wired: str, local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked by a name of the catalog, which decides itself; then offline by its place, without that catalog."""
    build = {"family": "v2-metric", "max_depth": 80, "activation": "sigmoid", "taps": "spread"}
    entry = checkpoint("mine", repo_id=wired, filename="model.safetensors", layout="transformers", build=build)
    with monkeypatch.context() as in_force:
        in_force.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
        from_pretrained("mine")
    options: dict[str, Any] = {"family": "v2-metric", "max_depth": 80}
    with pytest.raises(OfflineError, match=r"not whether a config\.json"):
        from_pretrained(f"{wired}/model.safetensors", offline=True, **options)
    taps = from_pretrained(f"{wired}/model.safetensors", **options).config.taps
    assert from_pretrained(f"{wired}/model.safetensors", offline=True, **options).config.taps == taps


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
