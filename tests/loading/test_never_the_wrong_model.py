"""Ways to a model that is silently another one, each closed: by an error, a warning, or by making the entry again."""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import shutil
import sys
import tempfile
import time
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
    identify,
    prewarm,
    resolve,
)
from depthhub.catalog.file import read_catalog
from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.checkpoint.header import ConvertedHeader, read_header
from depthhub.checkpoint.hints import build_from_config_json
from depthhub.conversion import convert_file
from depthhub.model.config import Build
from depthhub.progress import Progress
from depthhub.source import HubFile
from depthhub.steps import local_file
from depthhub.steps.digest import Settled, settle
from depthhub.steps.obtain import opened_settled
from depthhub.steps.remembered import ref_name
from depthhub.steps.request import Request
from depthhub.testing import Fault, LocalHub, make_checkpoint, transformers_config
from depthhub.testing.layouts import Layout
from depthhub_cache.store import Store

from ..cache.samples import memory_folder
from ..catalogs import checkpoint, write_catalog
from .conftest import golden_difference

V1 = {"family": "v1", "taps": "last-four", "activation": "relu", "max_depth": None}


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(*checkpoints: dict[str, object]) -> None:
        monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", *checkpoints)))

    return use


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entries(cache: Path) -> list[Path]:
    return list(cache.rglob("weights.safetensors"))


@pytest.mark.parametrize("stage", ["verifying", "converting"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_changes_during_the_call_publishes_nothing(
    tmp_path: Path, tiny: Path, cache: Path, stage: str, in_place: bool
) -> None:
    path, other = tmp_path / "last.pth", make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    shutil.copy(tiny, path)

    def change(progress: object) -> None:
        if progress.stage == stage and other.exists():  # type: ignore[attr-defined]
            if in_place:
                path.write_bytes(other.read_bytes())
                other.unlink()
            else:
                other.replace(path)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        from_pretrained(path, family="v2", cache_dir=cache, progress=change)
    assert entries(cache) == []


@pytest.mark.parametrize("convert", [True, False])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_file_that_is_written_through_a_map_meanwhile_publishes_nothing(
    tmp_path: Path, tiny: Path, cache: Path, convert: bool, in_memory: bool
) -> None:
    """In memory such a write changes no time of the file; on a disk, only that of a page that was written out."""
    with tempfile.TemporaryDirectory(dir=memory_folder() if in_memory else tmp_path) as folder:
        path = Path(folder) / "a.pth"
        shutil.copy(tiny, path)
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            at = [len(mapped) // 2 + 1000]  # in no sample that tells one file from another
            mapped[at[0]] ^= 0  # the page waits to be written out

            def change(progress: Progress) -> None:
                if progress.stage == "converting" and progress.done and at:  # its checksums were right
                    mapped[at.pop()] ^= 0xFF

            options = {"out": tmp_path / "out.safetensors"} if convert else {"cache_dir": cache}
            with pytest.raises(CheckpointError, match="changed while it was read"):
                (convert_file if convert else from_pretrained)(path, family="v2", progress=change, **options)
    assert entries(cache) == []
    assert not (tmp_path / "out.safetensors").exists()


def test_a_link_that_leads_elsewhere_while_it_is_read_is_followed_once(tmp_path: Path, tiny: Path, cache: Path) -> None:
    other, link = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1), tmp_path / "current.pth"
    link.symlink_to(tiny)

    def flip(progress: Progress) -> None:
        lead_to = other if progress.stage == "converting" and progress.done == 0 else tiny
        link.unlink()
        link.symlink_to(lead_to)

    model = from_pretrained(link, family="v2", cache_dir=cache, progress=flip)
    assert golden_difference(model, "v2-tiny") <= 1e-4


def test_a_checkpoint_is_not_converted_over_itself(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "a.pth"
    shutil.copy(tiny, path)
    (tmp_path / "again.pth").hardlink_to(path)
    for out in (path, tmp_path / "again.pth"):
        with pytest.raises(OptionError, match="is the checkpoint itself"):
            convert_file(path, out, family="v2", dtype="float16", replace=True)
    assert path.read_bytes() == tiny.read_bytes()


def test_a_remembered_hash_finds_an_entry_but_makes_none(
    tmp_path: Path, tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthhub.steps.local_file._RACY_SECONDS", 0.0)
    path = tmp_path / "a.pth"
    shutil.copy(tiny, path)
    prewarm([path], family="v2", cache_dir=cache)
    store = Store(cache)
    [(name, ref)] = store.refs()
    store.remember(name, {**ref, "content_hash": "0" * 64})  # as if other bytes had kept every time and number
    with pytest.raises(CheckpointError, match="has other content than when its sha256 was remembered"):
        from_pretrained(path, family="v2", cache_dir=cache)
    assert golden_difference(from_pretrained(path, family="v2", cache_dir=cache), "v2-tiny") <= 1e-4


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
    assert "numbers" in aside.reason


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, cache: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match="no regular file"):
        from_pretrained(tmp_path / "pipe.pth", family="v2", cache_dir=cache)


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


def test_a_file_that_changed_without_a_new_time_is_read_again(tiny: Path, tmp_path: Path, cache: Path) -> None:
    """As with images of read-only file systems, whose files have the times and inodes of nobody."""
    file = tmp_path / "best.pth"
    shutil.copy(tiny, file)
    os.utime(file, (1, 1))
    time.sleep(2.1)
    first = from_pretrained(file, family="v2")
    state = file.stat()
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    remembered = next(data for name, data in Store(cache).refs() if name == f"file:{file}")
    with file.open("r+b") as open_file:  # the same inode
        open_file.write(other.read_bytes())
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    now = file.stat()
    times = [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev]
    Store(cache).remember(f"file:{file}", {**remembered, "fingerprint": [*times, remembered["fingerprint"][5]]})
    second = from_pretrained(file, family="v2")
    assert first.provenance.content_hash != second.provenance.content_hash


def test_verifying_does_not_believe_what_was_remembered_of_a_file(tiny: Path, tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "best.pth"
    shutil.copy(tiny, file)
    time.sleep(2.1)
    from_pretrained(file, family="v2")
    remembered = next(data for name, data in Store(cache).refs() if name == f"file:{file}")
    Store(cache).remember(f"file:{file}", {**remembered, "content_hash": "0" * 64})
    with pytest.raises(CheckpointError, match="other content than when"):
        from_pretrained(file, family="v2")
    Store(cache).remember(f"file:{file}", {**remembered, "content_hash": "0" * 64})
    assert from_pretrained(file, family="v2", verify=True).provenance.content_hash == remembered["content_hash"]


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


@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
def test_a_folder_that_is_swapped_and_swapped_back_leads_to_no_other_file(
    tmp_path: Path, cache: Path, container: str
) -> None:
    """To move a folder changes no time of its files: what is converted has to be the very file that was hashed."""
    one, other, away = tmp_path / "one", tmp_path / "other", tmp_path / "away"
    for seed, folder in enumerate((one, other)):
        folder.mkdir()
        make_checkpoint(folder / "w", encoder="tiny", seed=seed, container=container)  # type: ignore[arg-type]
    right = from_pretrained(one / "w", family="v2", cache_dir=cache / "right")
    swaps: list[str] = []

    def swapping(progress: Progress) -> None:
        if progress.stage == "converting" and len(swaps) < 2:
            first, second = (one, other) if not swaps else (other, one)
            first.rename(away)
            second.rename(first)
            away.rename(second)
            swaps.append(progress.stage)

    model = from_pretrained(one / "w", family="v2", cache_dir=cache / "mine", progress=swapping)
    assert len(swaps) == 2, "the case that is tested"
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), right.parameters(), strict=True))


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


def test_a_checkpoint_that_is_cut_short_while_it_is_converted_is_not_the_caches_fault(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "w.pth", encoder="tiny")

    def cutting(progress: Progress) -> None:
        if progress.stage == "converting" and progress.done:
            os.truncate(path, 1 << 20)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        from_pretrained(path, family="v2", progress=cutting)


def test_dates_are_not_believed_while_somebody_may_be_writing(tiny: Path, tmp_path: Path, cache: Path) -> None:
    """A write is dated when it begins, and its bytes may come seconds later."""
    file = tmp_path / "best.pth"
    shutil.copy(tiny, file)
    os.utime(file, (1, 1))
    time.sleep(2.1)
    stages: list[str] = []

    def hashed_again(**options: str) -> bool:
        stages.clear()
        from_pretrained(file, family="v2", progress=lambda told: stages.append(told.stage), **options)
        return "verifying" in stages[stages.index("converting") :]

    def remembered() -> bool:
        return any(name == f"file:{file}" for name, _ in Store(cache).refs())

    with file.open("r+b"):
        assert hashed_again()
        assert not remembered(), "the next call reads it again"
    with OpenCheckpoint(file) as opened:
        shows = settle(opened).shows
    if not shows:
        pytest.skip("this file system dates not every write, or the system does not tell who writes")
    assert not hashed_again(dtype="float16")
    assert remembered()


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


def test_a_file_that_somebody_has_open_to_write_is_taken_with_a_warning(
    tmp_path: Path, tiny: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.pth"
    shutil.copy(tiny, path)
    with path.open("r+b"):
        with OpenCheckpoint(path) as opened:
            if not settle(opened).is_written:
                pytest.skip("the system does not tell")
        from_pretrained(path, family="v2", cache_dir=cache)
    assert "has it open to write" in caplog.text
    caplog.clear()
    from_pretrained(path, family="v2", cache_dir=cache)
    assert "has it open to write" not in caplog.text


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


def test_a_copy_on_this_machine_is_opened_anew_once_it_is_settled(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a union mount who had it open before maps another file than he reads."""
    path, other = tmp_path / "a.pth", make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    shutil.copy(tiny, path)
    settled: list[OpenCheckpoint] = []

    def settling(opened: OpenCheckpoint) -> Settled:
        settled.append(opened)
        return settle(opened)

    monkeypatch.setattr("depthhub.steps.obtain.settle", settling)
    opened, _ = opened_settled(path)
    with opened:
        assert settled[0] is not opened
        assert opened.whole() == tiny.read_bytes()

    def replacing(opened: OpenCheckpoint) -> Settled:
        found = settle(opened)
        opened.file.close()
        other.replace(path)
        return found

    monkeypatch.setattr("depthhub.steps.obtain.settle", replacing)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        opened_settled(path)


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


def test_a_checkpoint_that_is_cut_short_while_it_is_hashed_ends_in_an_error(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "w.pth", encoder="tiny")

    def cutting(progress: Progress) -> None:
        if progress.stage == "verifying" and progress.done:
            os.truncate(path, 1 << 20)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        from_pretrained(path, family="v2", progress=cutting)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="hands files in by /proc")
def test_a_file_that_is_handed_in_by_its_descriptor_is_that_file_whatever_its_name_leads_to(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "w.pth", encoder="tiny")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("rb") as file:
        path.unlink()
        make_checkpoint(path, encoder="tiny", seed=1)
        model = from_pretrained(f"/proc/self/fd/{file.fileno()}", family="v2")
    assert model.provenance.content_hash == right
