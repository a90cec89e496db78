"""What a source means, and what a file is: answers without loading anything."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from depthhub import CheckpointError, NotFoundError, UnsupportedModelError, from_pretrained, identify, prewarm, resolve
from depthhub.catalog import Catalog
from depthhub.conversion import convert_file
from depthhub.model.config import Build
from depthhub.resolution import locate
from depthhub.testing import LocalHub, make_checkpoint, transformers_config

from ..catalogs import checkpoint, write_catalog


def test_a_pinned_name_is_resolved_without_a_network(hub_environment: Path) -> None:
    found = resolve("vitl")
    entry = Catalog.load().find("vitl")
    assert (found.name, found.content_hash, found.commit) == ("v2-vitl", entry.sha256, entry.revision)
    assert found.pinned
    assert found.build == Build("v2")
    assert found.path is None
    assert found.licence == "cc-by-nc-4.0"


def test_a_name_that_cannot_be_served_says_why(hub_environment: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="never"):
        resolve("v2-vitg")


def test_a_cached_file_is_resolved_to_its_entry(tiny: Path, cache: Path) -> None:
    assert locate(tiny, family="v2", cache_dir=cache) is None
    [done] = prewarm([tiny], family="v2", cache_dir=cache)
    found = resolve(tiny, family="v2", cache_dir=cache)
    assert (found.key, found.path) == (done.key, done.path)
    entry = locate(tiny, family="v2", cache_dir=cache)
    assert entry is not None
    assert entry.key == done.key


def test_a_file_whose_family_nothing_tells_is_resolved_all_the_same(tiny: Path, cache: Path) -> None:
    found = resolve(tiny, cache_dir=cache)
    assert (found.build, found.key, found.path) == (None, None, None)
    assert found.undecided is not None
    assert "family=" in found.undecided


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_locating_never_asks_the_hub(local_hub: LocalHub, tiny: Path, cache: Path) -> None:
    local_hub.add_file("owner/repo", "t.pth", tiny)
    assert locate("owner/repo/t.pth", family="v2") is None
    assert local_hub.requests == []


def test_an_unknown_file_says_what_its_shapes_tell_and_what_nothing_tells(tiny: Path, hub_environment: Path) -> None:
    found = identify(tiny)
    assert found.content_hash == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert (found.name, found.build, found.layout, found.encoder) == (None, None, "original", None)
    assert found.unknown == ("family", "max_depth")
    assert found.sizes is not None
    assert (found.sizes.width, found.sizes.blocks, found.sizes.base_grid) == (128, 8, (16, 16))
    assert not (hub_environment / "depthhub").exists()


def test_a_file_of_the_catalog_is_known_by_its_bytes_whatever_its_name(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    known = checkpoint("known", repo_id="o/r", filename="f.pth", sha256=digest)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", known)))
    found = identify(tiny)
    assert (found.name, found.confirmed, found.build, found.unknown) == ("known", True, Build("v2"), ())


def test_a_converted_file_knows_its_own_build(tiny: Path, tmp_path: Path, hub_environment: Path) -> None:
    out = tmp_path / "mine.safetensors"
    config = convert_file(tiny, out, family="v2-metric", max_depth=20)
    found = identify(out)
    assert (found.layout, found.build, found.unknown) == ("depthhub", Build("v2-metric", 20.0), ())
    assert config.max_depth == 20


def test_a_converted_file_is_the_entrys_bytes(tiny: Path, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "new" / "mine.safetensors"
    convert_file(tiny, out, family="v2")
    [done] = prewarm([tiny], family="v2", cache_dir=cache)
    assert out.read_bytes() == done.path.read_bytes()
    assert list(out.parent.iterdir()) == [out]


def test_a_conversion_that_fails_leaves_what_was_there(tmp_path: Path, hub_environment: Path) -> None:
    out = tmp_path / "mine.safetensors"
    out.write_bytes(b"precious")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(CheckpointError):
        convert_file(broken, out, family="v2")
    assert out.read_bytes() == b"precious"
    assert sorted(tmp_path.iterdir()) == [broken, out]


def test_another_family_is_named_and_not_guessed_at(tmp_path: Path) -> None:
    path = make_checkpoint(
        tmp_path / "video.pth", shapes={"pretrained.cls_token": (1, 1, 64), "head.motion_modules.0.x": (2,)}
    )
    found = identify(path)
    assert found.unsupported is not None
    assert "Video-Depth-Anything" in found.unsupported
    assert (found.layout, found.build) == (None, None)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        identify(tmp_path / "absent.pth")


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_provenance_is_of_the_place_that_was_asked_for_not_of_who_came_first(local_hub: LocalHub, tiny: Path) -> None:
    commit = local_hub.add_file("owner/repo", "t.pth", tiny)
    first = from_pretrained(tiny, family="v2").provenance
    second = from_pretrained("owner/repo/t.pth", family="v2").provenance
    assert first.key == second.key
    assert (first.source, first.repo_id, first.commit) == (str(tiny), None, None)
    assert (second.repo_id, second.filename, second.commit) == ("owner/repo", "t.pth", commit)


@pytest.mark.parametrize("words", ["a config.json", "a header"])
def test_words_of_another_file_identify_nothing(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    file = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    if words == "a config.json":
        (tmp_path / "config.json").write_text(json.dumps(transformers_config("vits", family="v2-metric", max_depth=20)))
    else:
        convert_file(tiny, tmp_path / "own.safetensors", family="v2-metric", max_depth=20)
        with safe_open(tmp_path / "own.safetensors", framework="pt") as own:
            save_file(load_file(file), file, metadata=own.metadata())
    found = identify(file)
    assert (found.build, found.unknown) == (None, ("family", "max_depth"))
    assert "that is ignored" in caplog.text
