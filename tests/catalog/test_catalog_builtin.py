"""The schema of the built-in catalog, read as plain JSON: what the file says, not what the reader makes of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import depthhub
from depthhub.catalog import Catalog
from depthhub.model.config import Build

FILE = Path(depthhub.__file__).parent / "catalog" / "catalog.json"
DATA: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
CHECKPOINTS: list[dict[str, Any]] = DATA["checkpoints"]
SUPPORTED = [checkpoint for checkpoint in CHECKPOINTS if "build" in checkpoint]
UNSUPPORTED = [checkpoint for checkpoint in CHECKPOINTS if "build" not in checkpoint]
ORDER = [
    *("name", "family", "encoder", "repo_id", "repo_type", "filename"),
    *("revision", "revision_corroborations", "sha256", "sha256_corroborations", "size"),
    *("licence", "licence_disputed", "licence_note", "official"),
    *("unsupported", "layout", "build", "notes"),
]

every_checkpoint = pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda c: c["name"])
every_supported = pytest.mark.parametrize("checkpoint", SUPPORTED, ids=lambda c: c["name"])


def test_everything_that_a_plain_dpt_can_express_is_there_by_name() -> None:
    sizes = ("vits", "vitb", "vitl")
    expected = {
        *(f"v{version}-{size}{port}" for version in (1, 2) for size in sizes for port in ("", "-hf")),
        *(f"v1-{size}-bin" for size in sizes),
        *(f"v2-metric-{scene}-{size}" for scene in ("hypersim", "vkitti") for size in sizes),
        *(f"v2-metric-{scene}-{size}-hf" for scene in ("indoor", "outdoor") for size in sizes),
        *(f"distill-{size}{port}" for size in sizes for port in ("", "-hf")),
        *("distill-vitl-teacher", "ac-vits"),
    }
    assert {checkpoint["name"] for checkpoint in SUPPORTED} == expected


def test_known_names_that_cannot_be_served_are_there_too() -> None:
    families = {checkpoint["family"] for checkpoint in UNSUPPORTED}
    assert families == {
        *("depth-anything-v2", "depth-anything-v1-metric", "video-depth-anything", "prompt-depth-anything"),
        *("prior-depth-anything", "depth-anything-3"),
    }
    assert [c["name"] for c in UNSUPPORTED if c["family"] == "depth-anything-v2"] == ["v2-vitg"]


def test_names_are_unique() -> None:
    assert [name for name, times in Counter(c["name"] for c in CHECKPOINTS).items() if times > 1] == []


def test_aliases_lead_to_supported_checkpoints_of_v2() -> None:
    assert DATA["aliases"] == {"vits": "v2-vits", "vitb": "v2-vitb", "vitl": "v2-vitl"}
    assert set(DATA["aliases"].values()) <= {checkpoint["name"] for checkpoint in SUPPORTED}


@every_checkpoint
def test_fields_stand_in_one_order(checkpoint: dict[str, Any]) -> None:
    assert list(checkpoint) == [name for name in ORDER if name in checkpoint]


def test_a_field_has_a_line_of_its_own() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith('   "') for line in lines) == sum(map(len, CHECKPOINTS))


@every_checkpoint
def test_digests_and_commits_are_whole_and_counted(checkpoint: dict[str, Any]) -> None:
    for name, digits in (("revision", 40), ("sha256", 64)):
        value, sources = checkpoint[name], checkpoint.get(f"{name}_corroborations")
        assert value is None or re.fullmatch(f"[0-9a-f]{{{digits}}}", value)
        assert (sources is None) == (value is None)  # evidence beside every value, and none beside nothing
        assert sources is None or sources >= 1


@every_checkpoint
def test_only_what_two_sources_state_is_a_pin(checkpoint: dict[str, Any]) -> None:
    entry = Catalog.load().find(checkpoint["name"])
    for name in ("revision", "sha256"):
        pinned = checkpoint.get(f"{name}_corroborations", 0) >= 2
        assert getattr(entry, name) == (checkpoint[name] if pinned else None)
        assert getattr(entry, f"{name}_hint") == (None if pinned else checkpoint[name])


def test_a_hash_from_a_third_partys_fork_is_no_pin() -> None:
    entry = Catalog.load().find("ac-vits")
    assert entry.sha256 is None
    assert entry.sha256_hint == "d5c802e195c59e68d92877c2fd5664973e929cf8981e7a4f107a55fe74abf7f6"


@every_checkpoint
def test_size_is_positive_or_not_known(checkpoint: dict[str, Any]) -> None:
    assert checkpoint["size"] is None or (type(checkpoint["size"]) is int and checkpoint["size"] > 0)


@every_checkpoint
def test_licence_is_said_or_its_absence_explained(checkpoint: dict[str, Any]) -> None:
    licence = checkpoint["licence"]
    assert licence is None or licence == licence.lower()
    if licence is None or checkpoint.get("licence_disputed"):
        assert checkpoint["licence_note"].endswith(".")


def test_no_two_supported_checkpoints_share_a_file_or_a_digest() -> None:
    files = Counter((c["repo_type"], c["repo_id"], c["filename"]) for c in SUPPORTED)
    digests = Counter(c["sha256"] for c in SUPPORTED if c["sha256"])
    assert max(files.values()) == 1
    assert max(digests.values()) == 1


@every_supported
def test_every_supported_checkpoint_has_a_layout_and_no_excuse(checkpoint: dict[str, Any]) -> None:
    assert checkpoint["layout"] in ("original", "distill", "transformers")
    assert (checkpoint["layout"] == "transformers") == checkpoint["name"].endswith("-hf")
    assert "unsupported" not in checkpoint


@every_supported
def test_the_written_build_is_what_the_model_does(checkpoint: dict[str, Any]) -> None:
    written = checkpoint["build"]
    assert list(written) == ["family", "taps", "activation", "max_depth"]
    build = Build(written["family"], written["max_depth"])
    assert build.activation == written["activation"]
    rules = {"last-four": ((8, 9, 10, 11), (20, 21, 22, 23)), "spread": ((2, 5, 8, 11), (4, 11, 17, 23))}
    assert (build.taps_for(12), build.taps_for(24)) == rules[written["taps"]]
    assert Catalog.load().find(checkpoint["name"]).build == build


@every_supported
def test_the_family_decides_the_build(checkpoint: dict[str, Any]) -> None:
    builds = {"depth-anything-v1": "v1", "depth-anything-v2-metric": "v2-metric"}
    assert checkpoint["build"]["family"] == builds.get(checkpoint["family"], "v2")
    depths = {"hypersim": 20, "indoor": 20, "vkitti": 80, "outdoor": 80}
    named = [depth for scene, depth in depths.items() if scene in checkpoint["name"]]
    assert checkpoint["build"]["max_depth"] == (named[0] if named else None)


@pytest.mark.parametrize("checkpoint", UNSUPPORTED, ids=lambda c: c["name"])
def test_the_reason_is_one_sentence_and_what_it_recommends_is_there(checkpoint: dict[str, Any]) -> None:
    reason = checkpoint["unsupported"]
    assert reason.endswith(".")
    assert ". " not in reason
    assert "layout" not in checkpoint
    recommended = re.findall(r"\bv[12]-[a-z-]+[a-z]", reason)
    assert recommended
    assert set(recommended) <= {checkpoint["name"] for checkpoint in SUPPORTED}
