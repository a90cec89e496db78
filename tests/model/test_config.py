"""What a model is built from: plain data."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from depthhub.model.config import Build, ModelConfig

from .golden_models import golden_model


def test_the_config_is_read_without_torch() -> None:
    code = "import sys, depthhub.model.config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("family", "blocks", "taps"),
    [
        ("v1", 12, (8, 9, 10, 11)),
        ("v1", 24, (20, 21, 22, 23)),
        ("v2", 12, (2, 5, 8, 11)),
        ("v2", 24, (4, 11, 17, 23)),
        ("v2", 40, (9, 19, 29, 39)),
        ("v2", 8, (1, 3, 5, 7)),
        ("v2-metric", 24, (4, 11, 17, 23)),
    ],
)
def test_a_family_taps_the_blocks_that_its_authors_tap(family: str, blocks: int, taps: tuple[int, ...]) -> None:
    build = Build(family, 20.0 if family == "v2-metric" else None)  # type: ignore[arg-type]
    assert build.taps_for(blocks) == taps


def test_stated_taps_go_before_the_rule() -> None:
    assert Build("v2", taps=(0, 1, 2, 3)).taps_for(12) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("family", "max_depth", "says"),
    [
        ("v3", None, "'v3' is none of v1, v2, v2-metric"),
        ("v2-metric", None, "needs max_depth in metres"),
        ("v2-metric", 0.0, "needs max_depth in metres"),
        ("v2-metric", float("nan"), "needs max_depth in metres"),
        ("v2", 20.0, "max_depth belongs to family v2-metric"),
    ],
)
def test_a_contradictory_build_is_refused(family: str, max_depth: float | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Build(family, max_depth)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["v2-tiny", "v2-metric-tiny-20m", "v2-tiny-swiglu"])
def test_a_config_survives_json(name: str) -> None:
    config = golden_model(name).config
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("build", [Build("v1"), Build("v2-metric", 80.0), Build("v2", taps=(0, 1, 2, 3))])
def test_a_build_survives_json(build: Build) -> None:
    assert Build.from_json(json.loads(json.dumps(build.to_json()))) == build


@pytest.mark.parametrize(
    "taps",
    [
        *((7.0, 8.0, 9.0, 11), (True, 2, 3, 4), (1, 2, 3), (1, 2, 3, 4, 5), ()),
        *((3, 2, 1, 0), (1, 1, 2, 3), (-1, 0, 1, 2)),
        *("2589", {"2": 5}, 3, False),
    ],
    ids=str,
)
def test_taps_are_four_ascending_ints(taps: object) -> None:
    with pytest.raises(ValueError, match="taps are four blocks"):
        Build("v2", taps=taps)  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [True, "20", [20], 10**400, float("inf"), -1, None], ids=lambda depth: str(depth)[:9])
def test_a_maximum_depth_is_a_finite_number_above_0(depth: object) -> None:
    with pytest.raises(ValueError, match="needs max_depth in metres"):
        Build("v2-metric", depth)  # type: ignore[arg-type]


def test_equal_numbers_make_equal_builds_with_equal_text() -> None:
    one, other = Build("v2-metric", 20, [2, 5, 8, 11]), Build("v2-metric", 20.0, (2, 5, 8, 11))  # type: ignore[arg-type]
    assert one == other
    assert hash(one) == hash(other)
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())


@pytest.mark.parametrize(
    "data", [None, [], "v2", 3, {}, {"family": ["v2"]}, {"family": "v2", "taps": []}, {"family": {}, "max_depth": 1}]
)
def test_json_that_is_no_build_is_refused(data: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Build.from_json(data)  # type: ignore[arg-type]
