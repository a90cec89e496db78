"""Ways to a model that is silently another one, each closed: by an error, a warning, or by making the entry again."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch._subclasses.fake_tensor import FakeTensorMode

from depthhub import (
    CatalogError,
    CheckpointError,
    FamilyError,
    MismatchError,
    OfflineError,
    OptionError,
    from_pretrained,
    prewarm,
    resolve,
)
from depthhub.catalog.file import read_catalog
from depthhub.checkpoint.header import ConvertedHeader, read_header
from depthhub.checkpoint.hints import build_from_config_json
from depthhub.conversion import convert_file
from depthhub.model.config import Build
from depthhub.progress import Progress
from depthhub.source import HubFile
from depthhub.steps.remembered import ref_name
from depthhub.steps.request import Request
from depthhub.testing import LocalHub, make_checkpoint, transformers_config
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog
from .conftest import golden_difference

V1 = {"family": "v1", "taps": "last-four", "activation": "relu", "max_depth": None}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entries(cache: Path) -> list[Path]:
    return list(cache.rglob("weights.safetensors"))


@pytest.mark.parametrize("asked", [{"family": "v1"}, {"family": "v2"}, {"max_depth": 80}])
def test_a_converted_file_is_not_built_otherwise(
    tmp_path: Path, tiny: Path, cache: Path, asked: dict[str, object]
) -> None:
    convert_file(tiny, tmp_path / "own.safetensors", family="v2-metric", max_depth=20)
    with pytest.raises(FamilyError, match="converted as v2-metric up to 20 m"):
        from_pretrained(tmp_path / "own.safetensors", cache_dir=cache, **asked)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_catalog_by_name_and_by_bytes_must_agree(
    local_hub: LocalHub, tiny: Path, catalog: Callable[..., None]
) -> None:
    local_hub.add_file("o/cat", "a.pth", tiny)
    by_bytes = checkpoint("by-bytes", repo_id="o/other", filename="b.pth", sha256=sha256(tiny), build=V1)
    catalog(checkpoint("by-name", repo_id="o/cat", filename="a.pth"), by_bytes)
    with pytest.raises(FamilyError, match="names this file by-name, v2, but its bytes are those of by-bytes, v1"):
        from_pretrained("by-name")


def test_a_further_catalog_cannot_build_a_built_in_checkpoint_otherwise(catalog: Callable[..., None]) -> None:
    known = resolve("vits").content_hash
    catalog(checkpoint("mine", repo_id="o/r", filename="f.pth", sha256=known, build=V1))
    with pytest.raises(CatalogError, match="mine has the sha256 of v2-vits"):
        resolve("vits")
    place = {"repo_id": "depth-anything/Depth-Anything-V2-Small", "filename": "depth_anything_v2_vits.pth"}
    catalog(checkpoint("mine", build=V1, **place))
    with pytest.raises(CatalogError, match="mine has the file of v2-vits, which is built otherwise"):
        resolve("mine")
    catalog(checkpoint("mine", build={**V1, "family": "v2", "taps": "spread"}, **place))
    assert resolve("vits").build == Build("v2")


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_size_that_a_name_promises_is_checked_on_a_hit_too(
    local_hub: LocalHub, tiny: Path, catalog: Callable[..., None]
) -> None:
    local_hub.add_file("o/cat", "l.pth", tiny)
    catalog(checkpoint("cat-l", repo_id="o/cat", filename="l.pth", encoder="vitl"))
    prewarm([tiny], family="v2")
    with pytest.raises(MismatchError, match="should be vitl"):
        from_pretrained("cat-l")


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("damage", [{"filename": 5}, {"commit": ["main"]}, {"size": -1}, {"size": True}])
def test_a_remembered_answer_that_no_hub_gives_costs_a_question(
    local_hub: LocalHub, tiny: Path, cache: Path, damage: dict[str, object]
) -> None:
    local_hub.add_file("owner/repo", "a.pth", tiny)
    prewarm(["owner/repo/a.pth"], family="v2")
    store = Store(cache)
    for name, ref in list(store.refs()):
        store.remember(name, {**ref, **damage})
    local_hub.clear_log()
    assert golden_difference(from_pretrained("owner/repo/a.pth", family="v2"), "v2-tiny") <= 1e-4
    assert local_hub.requests


def test_an_entry_with_the_weights_of_another_is_made_again(tiny: Path, cache: Path) -> None:
    [v1] = prewarm([tiny], family="v1", cache_dir=cache)
    [v2] = prewarm([tiny], family="v2", cache_dir=cache)
    assert v1.path.stat().st_size == v2.path.stat().st_size
    v1.path.write_bytes(v2.path.read_bytes())
    assert golden_difference(from_pretrained(tiny, family="v1", cache_dir=cache), "v1-tiny") <= 1e-4


@pytest.mark.parametrize("damage", [{}, {"recipe": 5}, {"decisions": None}, None])
def test_an_entry_with_a_damaged_record_is_made_again(
    tiny: Path, cache: Path, damage: dict[str, object] | None
) -> None:
    [done] = prewarm([tiny], family="v2", cache_dir=cache)
    path = done.path.with_name("entry.json")
    record = json.loads(path.read_text())
    record["about"] = {} if damage is None else {**record["about"], **damage, "of_a_later_version": 1}
    path.write_text(json.dumps(record))
    model = from_pretrained(tiny, family="v2", cache_dir=cache)
    assert model.provenance.recipe.build.family == "v2"
    assert golden_difference(model, "v2-tiny") <= 1e-4


def test_an_entry_with_a_damaged_header_is_made_again(tiny: Path, cache: Path) -> None:
    [done] = prewarm([tiny], family="v2", cache_dir=cache)
    content = bytearray(done.path.read_bytes())
    content[8:40] = b"\0" * 32
    done.path.write_bytes(content)
    assert golden_difference(from_pretrained(tiny, family="v2", cache_dir=cache), "v2-tiny") <= 1e-4


def test_an_entry_that_claims_to_be_too_large_for_any_memory_is_made_again(tiny: Path, cache: Path) -> None:
    """Sound in itself, as an imported one can be: its header says a size that its tensors are not of."""
    [done] = prewarm([tiny], family="v2", cache_dir=cache)
    content = done.path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    said = json.loads(header["__metadata__"]["depthhub"])
    said["config"] |= {"width": 1 << 16, "heads": 1 << 10, "blocks": 1 << 10, "mlp_width": 1 << 16}
    said["config"]["taps"] = [255, 511, 767, 1023]
    header["__metadata__"]["depthhub"] = json.dumps(said)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    store = Store(cache)
    about = dict(store.entries().__next__().record.about)
    store.remove(done.key)
    with store.stage() as staging:
        staging.add("weights.safetensors", len(text).to_bytes(8, "little") + text + content[8 + length :])
        store.publish(done.key, staging, about=about)
    assert golden_difference(from_pretrained(tiny, family="v2", cache_dir=cache), "v2-tiny") <= 1e-4
    [aside] = store.set_aside()
    assert "it does not hold the tensors of the model that it says it is" in aside.reason


@pytest.mark.parametrize(
    "options",
    [
        {"device": "banana"},
        {"device": b"cpu"},
        {"device": "meta"},
        {"device": "cuda:99"},
        {"dtype": "int8"},
        {"max_depth": "20"},
        {"max_depth": True},
        {"cache_dir": ""},
        {"progress": 5},
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_done(
    tiny: Path, cache: Path, options: dict[str, object]
) -> None:
    with pytest.raises(OptionError) as caught:
        from_pretrained(tiny, **{"family": "v2-metric", "cache_dir": cache, "max_depth": 20, **options})
    assert caught.value.option in options
    assert not cache.exists()


def test_a_hit_where_torch_makes_no_real_tensors_is_one_clear_error(tiny: Path, cache: Path) -> None:
    prewarm([tiny], family="v2", cache_dir=cache)
    with FakeTensorMode(), pytest.raises(OptionError, match="FakeTensor"):
        from_pretrained(tiny, family="v2", cache_dir=cache)
    assert golden_difference(from_pretrained(tiny, family="v2", cache_dir=cache), "v2-tiny") <= 1e-4


def test_cpu_zero_is_the_cpu(tiny: Path, cache: Path) -> None:
    assert next(from_pretrained(tiny, family="v2", cache_dir=cache, device="cpu:0").parameters()).device.type == "cpu"


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_offline_an_answer_from_the_hubs_own_cache_is_remembered(
    local_hub: LocalHub, tiny: Path, hub_environment: Path
) -> None:
    from huggingface_hub import hf_hub_download

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint, cache_dir=hub_environment / "hub")
    from_pretrained("o/r/t.pth", family="v2", offline=True)
    shutil.rmtree(hub_environment / "hub")
    from_pretrained("o/r/t.pth", family="v2", offline=True)


def test_a_password_in_the_endpoint_is_not_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for endpoint in ("https://user:s3cretpw@hub.example", "https://hub.example"):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        request = Request.parse("owner/repo/f.pth")
        names.append(ref_name(request.source, None, request))
    assert "s3cretpw" not in names[0]
    assert names[0] == names[1] == "hub:https://hub.example/model/owner/repo/f.pth@main"


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_damaged_file_in_the_hubs_own_cache_is_not_believed_offline(
    local_hub: LocalHub, tiny: Path, cache: Path
) -> None:
    """The client's cache is never checked by the client; the name that it gives a file tells what it should be."""
    from huggingface_hub import hf_hub_download

    for name, in_lfs in (("tiny.pth", True), ("small.pth", False)):
        local_hub.add_file("owner/repo", name, tiny, lfs=in_lfs)
        blob = Path(hf_hub_download("owner/repo", name, endpoint=local_hub.endpoint)).resolve()
        damaged = bytearray(blob.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        blob.write_bytes(damaged)
        with pytest.raises(OfflineError, match="is damaged"):
            from_pretrained(f"owner/repo/{name}", family="v2", offline=True)
        right = from_pretrained(tiny, family="v2", cache_dir=cache / "other")
        model = from_pretrained(f"owner/repo/{name}", family="v2")
        assert all(torch.equal(one, other) for one, other in zip(model.parameters(), right.parameters(), strict=True))


@pytest.mark.parametrize(
    "change",
    [
        {"heads": 3},
        {"heads": 0},
        {"activation": "sigmoid"},
        {"family": "v1"},
        {"family": "zz"},
        {"mlp": "x"},
        {"max_depth": "x"},
        {"max_depth": 20.0},
        {"blocks": "4"},
        {"blocks": {}},
        {"blocks": 20_000},
        {"taps": 8},
        {"taps": [0, 1, 2, 99]},
        {"taps": [0, 1, 2, 3]},
        {"width": 10**9},
        {"base_grid": [1]},
    ],
    ids=str,
)
def test_a_converted_file_whose_config_is_not_that_of_its_recipe_is_refused(
    tiny: Path, cache: Path, change: dict[str, object]
) -> None:
    """Disk damage cannot do this, for the header has its digest; a clumsy forger could."""
    from_pretrained(tiny, family="v2")
    [entry] = Store(cache).entries()
    header = read_header(entry.weights)
    facts = json.loads(header.to_text())
    config = {**facts["config"], **change}
    if config == facts["config"]:
        pytest.skip("that is what it is")
    with pytest.raises(CheckpointError, match="damaged, or of another version"):
        ConvertedHeader.in_metadata({"depthhub": json.dumps({**facts, "config": config})}, path=entry.weights)


@pytest.mark.parametrize("depth", [5e-324, math.nextafter(sys.float_info.min, 0)])
def test_no_door_takes_a_maximum_depth_that_is_0_to_some_processors(
    tmp_path: Path, tiny: Path, cache: Path, depth: float
) -> None:
    with pytest.raises(FamilyError, match="more than 0"):
        from_pretrained(tiny, family="v2-metric", max_depth=depth, cache_dir=cache)
    with pytest.raises(ValueError, match="more than 0"):
        Build.from_json({"family": "v2-metric", "max_depth": depth})
    metric = {"family": "v2-metric", "taps": "spread", "activation": "sigmoid", "max_depth": depth}
    with pytest.raises(CatalogError, match="more than 0"):
        read_catalog(
            write_catalog(tmp_path / "catalog.json", checkpoint("x", repo_id="o/r", filename="f", build=metric))
        )
    config = transformers_config("tiny", family="v2-metric", max_depth=20)
    assert build_from_config_json(config) == Build("v2-metric", 20)
    assert build_from_config_json({**config, "max_depth": depth}) is None
    assert Build("v2-metric", sys.float_info.min).max_depth == sys.float_info.min


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    ("endpoints", "sources"),
    [
        (("/team-a/x@prod", "/team-b/x@prod"), ("owner/repo/w.pth", "owner/repo/w.pth")),
        (("/model/o", ""), ("hf://x/y/f.pth", "hf://o/model/x/y/f.pth")),
    ],
)
def test_no_two_hubs_share_what_is_remembered(
    endpoints: tuple[str, str], sources: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    for endpoint, source in zip(endpoints, sources, strict=True):
        monkeypatch.setenv("HF_ENDPOINT", f"http://user:secret@127.0.0.1:9{endpoint}")
        request = Request.parse(source, family="v2")
        assert isinstance(request.source, HubFile)
        names.add(ref_name(request.source, None, request))
    assert len(names) == 2
    assert not any("secret" in name for name in names)


@pytest.mark.parametrize("way", [from_pretrained, convert_file])
@pytest.mark.parametrize("converted", [True, False])
def test_what_a_converted_file_says_of_itself_is_of_no_other_tensors(
    tmp_path: Path, tiny: Path, way: Callable[..., object], converted: bool
) -> None:
    """As scripts save what they changed: with the metadata of the file that it came from."""
    convert_file(tiny, tmp_path / "own.safetensors", family="v2-metric", max_depth=20)
    with safe_open(tmp_path / "own.safetensors", framework="pt") as own:
        metadata = own.metadata()
    theirs = make_checkpoint(tmp_path / "theirs.pth", encoder="tiny-swiglu" if converted else "tiny")
    if converted:
        convert_file(theirs, tmp_path / "theirs.safetensors", family="v2")
        tensors = load_file(tmp_path / "theirs.safetensors")
    else:
        tensors = torch.load(theirs, weights_only=True)
    other = tmp_path / "other.safetensors"
    save_file(tensors, other, metadata=metadata)
    with pytest.raises(MismatchError, match=r"what the file says of itself .* is of another model"):
        way(other, **({"out": tmp_path / "out.safetensors"} if way is convert_file else {}))
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), TimeoutError("late"), OSError("mine")], ids=str)
@pytest.mark.parametrize("stage", ["verifying", "converting"])
def test_what_a_callback_raises_comes_out_as_it_is(tiny: Path, cache: Path, error: OSError, stage: str) -> None:
    def raising(progress: Progress) -> None:
        if progress.stage == stage and progress.done:
            raise error

    with pytest.raises(type(error)) as caught:
        from_pretrained(tiny, family="v2", cache_dir=cache, progress=raising)
    assert caught.value is error
    assert entries(cache) == []


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("first", ["mine", "me/repo/w.pth@main", "mine@main"])
def test_a_name_at_its_suggested_commit_and_the_same_file_at_main_are_two(
    local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    right = {}
    for seed, sources in enumerate((["mine"], ["me/repo/w.pth@main", "mine@main"])):
        file = make_checkpoint(tmp_path / f"{seed}.pth", encoder="tiny", seed=seed)
        commit = local_hub.add_file("me/repo", "w.pth", file)
        if seed == 0:
            entry = checkpoint("mine", repo_id="me/repo", filename="w.pth", revision=commit, revision_corroborations=1)
            monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
        right.update(dict.fromkeys(sources, hashlib.sha256(file.read_bytes()).hexdigest()))
    for source in (first, *right):
        assert from_pretrained(source).provenance.content_hash == right[source], source
