"""What a config.json beside a checkpoint decides, and when it is another file's, cannot be read, or is not believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub import (
    CheckpointError,
    FamilyError,
    MismatchError,
    from_pretrained,
    identify,
    prewarm,
)
from depthhub.conversion import convert_file
from depthhub.progress import Progress
from depthhub.steps import local_file
from depthhub.testing import Fault, LocalHub, make_checkpoint, transformers_config
from depthhub.testing.layouts import Layout

from .conftest import golden_difference


def test_a_config_json_decides_only_for_a_file_of_its_layout(tmp_path: Path, cache: Path) -> None:
    make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    (tmp_path / "config.json").write_text(json.dumps(transformers_config("tiny", family="v2")))
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny")
    with pytest.raises(MismatchError, match=r"config.json beside it is of another file"):
        from_pretrained(other, cache_dir=cache)


@pytest.mark.parametrize(
    ("layout", "described", "problem"),
    [
        ("original", "tiny", "the file is of the original layout"),
        ("transformers", "vits", "its config.json says 12 blocks"),
    ],
)
def test_a_config_json_of_another_file_that_has_no_say_is_a_warning(
    tmp_path: Path, cache: Path, layout: Layout, described: str, problem: str
) -> None:
    path = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout=layout)
    (tmp_path / "config.json").write_text(json.dumps(transformers_config(described, family="v2")))
    for family, words in (("v2", f"of another file: {problem}"), ("v1", "built as v1, as you say")):
        for _ in ("made", "found"):
            with pytest.warns(UserWarning, match=words) as warned:
                model = from_pretrained(path, family=family, cache_dir=cache)
            assert golden_difference(model, f"{family}-tiny") <= 1e-4
            assert len(warned) == 1


def test_a_config_json_and_a_file_name_that_disagree_are_an_error(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "depth_anything_v2_metric_vkitti_vits.safetensors"
    make_checkpoint(path, encoder="tiny", layout="transformers")
    (tmp_path / "config.json").write_text(json.dumps(transformers_config("tiny", family="v2")))
    with pytest.raises(FamilyError, match=r"config.json says v2, and its name suggests v2-metric up to 80 m"):
        from_pretrained(path, cache_dir=cache)


def test_a_config_json_of_another_size_is_an_error(tmp_path: Path, cache: Path) -> None:
    path = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    (tmp_path / "config.json").write_text(json.dumps(transformers_config("vits", family="v2")))
    with pytest.raises(MismatchError, match="12 blocks"):
        from_pretrained(path, cache_dir=cache)


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("config", ['{"max_depth": NaN}', '{"max_depth": 1e999}', "[" * 150 + "]" * 150, "[1]"])
def test_a_config_json_that_nobody_can_remember_says_nothing(local_hub: LocalHub, tiny: Path, config: str) -> None:
    local_hub.add_file("owner/repo", "a.pth", tiny)
    local_hub.add_file("owner/repo", "config.json", config.encode())
    with pytest.raises(FamilyError, match=r"its config\.json cannot be read"):
        from_pretrained("owner/repo/a.pth")
    with pytest.warns(UserWarning, match=r"as you say; its config\.json cannot be read"):
        model = from_pretrained("owner/repo/a.pth", family="v2")
    assert golden_difference(model, "v2-tiny") <= 1e-4


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("inside", [None, "backbone_config"])
def test_what_is_long_in_a_config_json_is_not_remembered(
    local_hub: LocalHub, tmp_path: Path, cache: Path, inside: str | None
) -> None:
    """It would take more than one megabyte, as it is written there."""
    config = transformers_config("tiny", family="v2-metric", max_depth=30)
    part = config if inside is None else config[inside]
    assert isinstance(part, dict)
    part["history"] = list(range(100_000))
    local_hub.add_file("me/long", "config.json", json.dumps(config).encode(), lfs=False)
    local_hub.add_file("me/long", "w.safetensors", make_checkpoint(tmp_path / "w.safetensors", layout="transformers"))
    for offline in (False, True):
        assert from_pretrained("me/long", offline=offline).config.max_depth == 30


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_what_was_not_asked_is_not_remembered_as_nothing(
    local_hub: LocalHub, tmp_path: Path, catalog: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("o/hist", "model.safetensors", port)
    config = json.dumps(transformers_config("tiny", family="v2-metric", max_depth=20)).encode()
    local_hub.add_file("o/hist", "config.json", config, lfs=False)
    prewarm(["o/hist/model.safetensors"], family="v2")  # no need to ask for the config.json
    model = from_pretrained("o/hist/model.safetensors")
    assert golden_difference(model, "v2-metric-tiny-20m") <= 1e-4


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_config_json_that_cannot_be_had_stops_only_those_who_need_it(
    local_hub: LocalHub, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_TOTAL_TIMEOUT", "2")
    local_hub.add_file("o/r", "t.pth", tiny)
    local_hub.add_file("o/r", "config.json", b"{}" + b" " * 3_000_000, lfs=False)
    local_hub.inject(Fault.status(500), times=None, path="config.json")
    assert golden_difference(from_pretrained("o/r/t.pth", family="v2"), "v2-tiny") <= 1e-4
    with pytest.raises(FamilyError):
        from_pretrained("o/r/t.pth")


def test_a_config_is_that_of_the_folder_in_which_the_file_was_found(tmp_path: Path) -> None:
    """An atomic deployment: `current` leads to the next version while the weights of this one are hashed."""
    for name, metres in (("v1", 80), ("v2", 20)):
        (tmp_path / name).mkdir()
        make_checkpoint(tmp_path / name / "w.safetensors", encoder="tiny", layout="transformers")
        config = transformers_config("tiny", family="v2-metric", max_depth=metres)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    current = tmp_path / "current"
    current.symlink_to("v1")

    def deploying(progress: Progress) -> None:
        if progress.stage == "verifying" and current.readlink() == Path("v1"):
            current.unlink()
            current.symlink_to("v2")

    model = from_pretrained(current / "w.safetensors", progress=deploying)
    assert current.readlink() == Path("v2"), "the case that is tested"
    assert model.config.max_depth == 80

    def renaming(progress: Progress) -> None:
        if progress.stage == "verifying" and (tmp_path / "v2").exists():
            (tmp_path / "v1").rename(tmp_path / "v0")
            (tmp_path / "v2").rename(tmp_path / "v1")

    if os.open in os.supports_dir_fd:
        model = from_pretrained(tmp_path / "v1" / "w.safetensors", refresh=True, progress=renaming)
        assert (tmp_path / "v0").exists(), "the case that is tested"
        assert model.config.max_depth == 80
    else:
        with pytest.raises(CheckpointError, match=r"config.json changed while w.safetensors was read"):
            from_pretrained(tmp_path / "v1" / "w.safetensors", refresh=True, progress=renaming)


@pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="there files are found by paths alone")
def test_a_config_is_that_of_the_folder_that_is_open_whatever_its_path_leads_to(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchanged once the weights are open, and back before they are opened again: no reading of a path shows it."""
    for seed, (name, metres) in enumerate((("v1", 80), ("v2", 20))):
        (tmp_path / name).mkdir()
        make_checkpoint(tmp_path / name / "w.safetensors", encoder="tiny", layout="transformers", seed=seed)
        config = transformers_config("tiny", family="v2-metric", max_depth=metres)
        (tmp_path / name / "config.json").write_text(json.dumps(config))

    def exchanging(function: Callable[..., object]) -> Callable[..., object]:
        def exchanged(*args: object) -> object:
            for name, other in (("v1", "away"), ("v2", "v1"), ("away", "v2")):
                (tmp_path / name).rename(tmp_path / other)
            return function(*args)

        return exchanged

    for step in ("fingerprint", "_remember"):
        name = f"depthhub.steps.local_file.{step}"
        monkeypatch.setattr(name, exchanging(getattr(local_file, step)))
    model = from_pretrained(tmp_path / "v1" / "w.safetensors", cache_dir=cache)
    assert json.loads((tmp_path / "v1" / "config.json").read_text())["max_depth"] == 80, "exchanged twice"
    assert model.config.max_depth == 80


HEADS_OF_32 = {"backbone_config": {**transformers_config("tiny")["backbone_config"], "num_attention_heads": 4}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "change",
    [{"head_in_index": 2}, {"model_type": "zoedepth"}, {"max_depth": 80}, pytest.param(HEADS_OF_32, id="heads of 32")],
    ids=str,
)
def test_a_config_of_a_model_that_cannot_be_built_is_overruled_with_a_warning(
    tmp_path: Path, cache: Path, change: dict[str, object]
) -> None:
    path = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    config = {**transformers_config("tiny", family="v2"), **change}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(FamilyError, match=r"nothing tells .*its config.json says a model that cannot be built"):
        from_pretrained(path, cache_dir=cache)
    with pytest.warns(UserWarning, match=r"as you say; its config.json says a model that cannot be built"):
        model = from_pretrained(path, family="v2", cache_dir=cache)
    assert golden_difference(model, "v2-tiny") <= 1e-4
    named = path.rename(tmp_path / "depth_anything_v2_vits.safetensors")
    with pytest.raises(FamilyError, match=r"cannot be built, and its name suggests v2. Say which: family='v2'"):
        from_pretrained(named, cache_dir=cache)


def test_a_config_of_another_size_is_not_converted_with_either(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    (tmp_path / "config.json").write_text(json.dumps(transformers_config("vits", family="v2")))
    with pytest.raises(MismatchError, match="12 blocks"):
        convert_file(path, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def in_the_way(config: Path, what: str) -> None:
    if what == "a link to nothing":
        config.symlink_to("gone.json")
    elif what == "a folder":
        config.mkdir()
    elif what == "half of it":
        config.write_text('{"model_type": "depth_anything", "depth_esti')
    else:
        config.write_bytes(b" " * (2 << 20))


@pytest.mark.parametrize("what", ["a link to nothing", "a folder", "half of it", "too much"])
def test_a_config_beside_a_file_that_cannot_be_read_is_not_taken_for_none(
    tmp_path: Path, cache: Path, what: str
) -> None:
    """A copy of a repository that kept the weights and lost what was linked."""
    path = make_checkpoint(tmp_path / "depth_anything_v2_vits.safetensors", encoder="tiny", layout="transformers")
    in_the_way(tmp_path / "config.json", what)
    with pytest.raises(FamilyError, match=r"its config\.json cannot be read: .*, and its name suggests v2. Say which"):
        from_pretrained(path, cache_dir=cache)
    unnamed = path.rename(tmp_path / "w.safetensors")
    with pytest.raises(FamilyError, match=r"nothing tells .* \(its config\.json cannot be read: "):
        from_pretrained(unnamed, cache_dir=cache)
    assert identify(unnamed).unknown == ("family", "max_depth")
    with pytest.warns(UserWarning, match=r"built as v2, as you say; its config\.json cannot be read"):
        model = from_pretrained(unnamed, family="v2", cache_dir=cache)
    assert golden_difference(model, "v2-tiny") <= 1e-4


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_damaged_config_in_the_hubs_own_cache_decides_nothing(
    local_hub: LocalHub, tmp_path: Path, hub_environment: Path
) -> None:
    from huggingface_hub import hf_hub_download

    config = json.dumps(transformers_config("tiny", family="v2-metric", max_depth=80)).encode()
    port = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("me/metric", "config.json", config, lfs=False)
    local_hub.add_file("me/metric", "w.safetensors", port)
    for name in ("w.safetensors", "config.json"):
        path = Path(hf_hub_download("me/metric", name, endpoint=local_hub.endpoint, cache_dir=hub_environment / "hub"))
    caches = [tmp_path / "one", tmp_path / "other"]
    assert from_pretrained("me/metric/w.safetensors", offline=True, cache_dir=caches[0]).config.max_depth == 80
    path.resolve().write_bytes(config.replace(b"80", b"20"))
    with pytest.raises(FamilyError):
        from_pretrained("me/metric/w.safetensors", offline=True, cache_dir=caches[1])
    assert from_pretrained("me/metric/w.safetensors", cache_dir=caches[1]).config.max_depth == 80
