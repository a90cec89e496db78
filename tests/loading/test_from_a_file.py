"""A checkpoint on this machine becomes a model whose depth is the authors'."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
import warnings
from pathlib import Path

import pytest
import torch

from depthhub import (
    CheckpointError,
    DepthModel,
    FamilyError,
    MismatchError,
    NotFoundError,
    UnknownKeysError,
    UnsafeCheckpointError,
    from_pretrained,
    prewarm,
)
from depthhub.conversion import convert_file
from depthhub.testing import make_checkpoint, original_shapes, transformers_config

from ..catalogs import checkpoint, write_catalog
from .conftest import Python, golden_difference

GOLDEN_TOLERANCE = 1e-4


@pytest.mark.parametrize(
    ("golden", "encoder", "options"),
    [
        ("v1-tiny", "tiny", {"family": "v1"}),
        ("v2-tiny", "tiny", {"family": "v2"}),
        ("v2-tiny-swiglu", "tiny-swiglu", {"family": "v2"}),
        ("v2-metric-tiny-20m", "tiny", {"family": "v2-metric", "max_depth": 20}),
    ],
)
@pytest.mark.parametrize(
    ("name", "layout"),
    [("a.pth", "original"), ("a.safetensors", "original"), ("a.safetensors", "distill"), ("a.bin", "transformers")],
)
def test_depth_equals_the_authors(
    tmp_path: Path, cache: Path, golden: str, encoder: str, options: dict[str, object], name: str, layout: str
) -> None:
    path = make_checkpoint(tmp_path / name, encoder=encoder, layout=layout)
    model = from_pretrained(path, cache_dir=cache, **options)
    assert golden_difference(model, golden) <= GOLDEN_TOLERANCE


def test_from_pretrained_of_the_class_is_the_same_call(tiny: Path, cache: Path) -> None:
    model = DepthModel.from_pretrained(tiny, family="v2", cache_dir=cache)
    assert isinstance(model, DepthModel)
    assert not model.training
    assert golden_difference(model, "v2-tiny") <= GOLDEN_TOLERANCE


def test_provenance_says_where_the_weights_came_from(tiny: Path, cache: Path) -> None:
    provenance = from_pretrained(tiny, family="v2", cache_dir=cache).provenance
    assert provenance.content_hash == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert provenance.source == str(tiny)
    assert provenance.path.is_file()
    assert cache in provenance.path.parents
    assert provenance.recipe.build.family == "v2"
    assert provenance.commit is None
    assert provenance.checkpoint_bytes == tiny.stat().st_size


def test_the_users_file_is_left_as_it_was(tmp_path: Path, tiny: Path, cache: Path) -> None:
    path = tmp_path / "mine.pth"
    shutil.copy2(tiny, path)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    from_pretrained(path, family="v2", cache_dir=cache)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(tmp_path.iterdir()) == [path]


def test_families_of_one_file_are_entries_of_their_own(tiny: Path, cache: Path) -> None:
    keys = {
        prewarm([tiny], cache_dir=cache, **options)[0].key
        for options in (
            {"family": "v1"},
            {"family": "v2"},
            {"family": "v2", "dtype": "float16"},
            {"family": "v2-metric", "max_depth": 20},
            {"family": "v2-metric", "max_depth": 80},
        )
    }
    assert len(keys) == 5


def test_the_same_key_has_the_same_bytes_in_another_process_and_place(
    tmp_path: Path, tiny: Path, cache: Path, python: Python
) -> None:
    moved = tmp_path / "elsewhere" / "under-another-name.pth"
    moved.parent.mkdir()
    shutil.copy(tiny, moved)
    code = "import sys, depthhub; print(depthhub.prewarm([sys.argv[1]], family='v2', cache_dir=sys.argv[2])[0].path)"
    paths = [
        Path(python(code, str(file), str(tmp_path / root)).stdout.strip()) for file, root in ((tiny, "a"), (moved, "b"))
    ]
    assert paths[0].parent.name == paths[1].parent.name
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert str(tmp_path).encode() not in paths[1].read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_take_half_the_bytes_and_work(tiny: Path, cache: Path, dtype: str) -> None:
    [full] = prewarm([tiny], family="v2", cache_dir=cache)
    [half] = prewarm([tiny], family="v2", dtype=dtype, cache_dir=cache)
    assert half.size < 0.55 * full.size
    model = from_pretrained(tiny, family="v2", dtype=getattr(torch, dtype), cache_dir=cache)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    assert golden_difference(model.float(), "v2-tiny") < 0.1  # the weights are rounded, so is the depth


def test_a_second_call_reads_nothing_of_the_file_again(tmp_path: Path, tiny: Path, cache: Path) -> None:
    path = tmp_path / "mine.pth"
    shutil.copy(tiny, path)
    time.sleep(2.1)  # a file that was just written may change again within the same tick: it is not remembered
    stages: list[str] = []
    from_pretrained(path, family="v2", cache_dir=cache, progress=lambda p: stages.append(p.stage))
    assert "verifying" in stages
    assert "converting" in stages
    stages.clear()
    from_pretrained(path, family="v2", cache_dir=cache, progress=lambda p: stages.append(p.stage))
    assert stages == []


def test_a_file_with_new_content_is_a_new_entry(tmp_path: Path, cache: Path) -> None:
    path = make_checkpoint(tmp_path / "mine.pth", encoder="tiny", seed=0)
    [first] = prewarm([path], family="v2", cache_dir=cache)
    make_checkpoint(path, encoder="tiny", seed=1)
    [second] = prewarm([path], family="v2", cache_dir=cache)
    assert first.key != second.key


def test_nothing_that_tells_the_family_is_an_error_that_says_what_to_add(tiny: Path, cache: Path) -> None:
    with pytest.raises(FamilyError, match=r"family='v1'.*family='v2'.*max_depth") as caught:
        from_pretrained(tiny, cache_dir=cache)
    assert caught.value.source == str(tiny)


def test_a_file_name_only_suggests_and_a_warning_says_so(tmp_path: Path, tiny: Path, cache: Path) -> None:
    path = tmp_path / "depth_anything_v2_metric_hypersim_vits.pth"
    shutil.copy(tiny, path)
    with pytest.warns(UserWarning, match=r"family='v2-metric', max_depth=20"):
        model = from_pretrained(path, cache_dir=cache)
    assert golden_difference(model, "v2-metric-tiny-20m") <= GOLDEN_TOLERANCE
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_pretrained(path, family="v2-metric", max_depth=20, cache_dir=cache)


def test_the_config_json_beside_the_file_tells_the_family(tmp_path: Path, cache: Path) -> None:
    path = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    config = transformers_config("tiny", family="v2-metric", max_depth=20)
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = from_pretrained(path, cache_dir=cache)
    assert golden_difference(model, "v2-metric-tiny-20m") <= GOLDEN_TOLERANCE


def test_the_caller_outranks_the_config_json(tmp_path: Path, cache: Path) -> None:
    path = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    (tmp_path / "config.json").write_text(json.dumps(transformers_config("tiny", family="v2")))
    with pytest.warns(UserWarning, match="built as v1, as you say; its config.json says v2"):
        model = from_pretrained(path, family="v1", cache_dir=cache)
    assert golden_difference(model, "v1-tiny") <= GOLDEN_TOLERANCE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "v3"}, "none of: v1, v2, v2-metric"),
        ({"family": "v2-metric"}, "needs max_depth in metres"),
        ({"family": "v2", "max_depth": 20}, "belongs to family v2-metric"),
        ({"family": "v2-metric", "max_depth": -1}, "more than 0"),
        ({"family": "v2-metric", "max_depth": 1e-320}, "more than 0"),
        ({"family": "v2-metric", "max_depth": 10**400}, "finite"),
        ({"max_depth": 10**5000}, "finite"),
        ({"max_depth": float("nan")}, "finite"),
    ],
)
def test_a_family_that_cannot_be_is_refused(tiny: Path, cache: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(FamilyError, match=message):
        from_pretrained(tiny, cache_dir=cache, **options)
    assert not cache.exists() or not list(cache.rglob("weights.safetensors"))


def test_a_missing_file_says_so(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no file .*absent.pth"):
        from_pretrained(tmp_path / "absent.pth", family="v2", cache_dir=cache)


def test_a_folder_is_not_a_checkpoint(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(CheckpointError, match=r"folder"):
        from_pretrained(tmp_path, family="v2", cache_dir=cache)


def test_a_pickle_with_more_than_tensors_is_refused_by_name(tmp_path: Path, cache: Path) -> None:
    path = make_checkpoint(
        tmp_path / "run.pth", encoder="tiny", wrapper="model", beside={"args": argparse.Namespace(lr=1e-4)}
    )
    with pytest.raises(UnsafeCheckpointError, match=r"Namespace") as caught:
        from_pretrained(path, family="v2", cache_dir=cache)
    assert any("Namespace" in name for name in caught.value.offending)
    assert not list(cache.rglob("*.safetensors"))


def test_an_unknown_key_is_listed_and_nothing_is_left(tmp_path: Path, cache: Path) -> None:
    shapes = {**original_shapes("tiny"), "depth_head.extra.weight": (3, 3), "pretrained.more": (2,)}
    path = make_checkpoint(tmp_path / "odd.pth", shapes=shapes)
    with pytest.raises(UnknownKeysError) as caught:
        from_pretrained(path, family="v2", cache_dir=cache)
    assert set(caught.value.unexpected) == {"depth_head.extra.weight", "pretrained.more"}
    assert not list(cache.rglob("*.safetensors"))


def test_wrappers_and_prefixes_are_peeled_and_reported(tmp_path: Path, cache: Path) -> None:
    path = make_checkpoint(
        tmp_path / "run.ckpt",
        encoder="tiny",
        wrapper="state_dict",
        prefix="module.",
        beside={"epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
    )
    model = from_pretrained(path, family="v2", cache_dir=cache)
    assert golden_difference(model, "v2-tiny") <= GOLDEN_TOLERANCE
    said = " ".join(model.provenance.decisions)
    assert "state_dict" in said
    assert "module." in said


def test_a_converted_file_loads_like_any_other(tmp_path: Path, tiny: Path, cache: Path) -> None:
    out = tmp_path / "mine.safetensors"
    convert_file(tiny, out, family="v2-metric", max_depth=20)
    model = from_pretrained(out, cache_dir=cache)  # the file itself says how to build it
    assert golden_difference(model, "v2-metric-tiny-20m") <= GOLDEN_TOLERANCE


def test_a_name_of_another_size_than_the_file_is_said(
    tmp_path: Path, tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    promised = checkpoint("promised", repo_id="owner/repo", filename="f.pth", encoder="vitl", sha256=digest)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", promised)))
    with pytest.raises(MismatchError, match=r"should be vitl .*width 128, 8 blocks"):
        from_pretrained(tiny, cache_dir=cache)


def test_a_content_hash_of_the_catalog_tells_the_family_and_a_contradiction_is_an_error(
    tmp_path: Path, tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    metric = {"family": "v2-metric", "taps": "spread", "activation": "sigmoid", "max_depth": 20}
    known = checkpoint("known", repo_id="owner/repo", filename="f.pth", sha256=digest, build=metric)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", known)))
    assert golden_difference(from_pretrained(tiny, cache_dir=cache), "v2-metric-tiny-20m") <= GOLDEN_TOLERANCE
    for contradiction in ({"family": "v1"}, {"max_depth": 80}):
        with pytest.raises(FamilyError, match=r"the catalog knows these weights as known"):
            from_pretrained(tiny, cache_dir=cache, **contradiction)
