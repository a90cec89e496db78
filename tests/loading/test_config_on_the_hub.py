"""The config.json beside a file on the Hub counts, and one that cannot be had or read is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from depthhub import FamilyError, MismatchError, OfflineError, from_pretrained, lock, prewarm, resolve
from depthhub.locking import check, update
from depthhub.testing import Fault, LocalHub, make_checkpoint, transformers_config

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


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
