from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from depthhub import from_pretrained
from depthhub.model.dpt import DPT
from depthhub.testing import LocalHub, make_checkpoint, reference_image, transformers_config

from ..catalogs import checkpoint, write_catalog
from ..conftest import GOLDEN
from .on_the_hub import FILE, OTHER_TAPS, REPO

Python = Callable[..., subprocess.CompletedProcess[str]]
IsSound = Callable[[DPT], bool]


@pytest.fixture
def cache(hub_environment: Path) -> Path:
    """The cache's root, in an environment of the test's own."""
    return hub_environment / "depthhub"


@pytest.fixture
def python() -> Python:
    """Runs code in a fresh process with this test's environment; its stdout and stderr are text."""

    def run(code: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *args], check=check, text=True, capture_output=True, timeout=120
        )

    return run


@pytest.fixture(scope="session")
def is_sound(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> IsSound:
    """Whether every number of a model of `tiny` is right: as in a cache that nobody touches."""
    model = from_pretrained(tiny, family="v2", cache_dir=tmp_path_factory.mktemp("sound"))
    assert golden_difference(model, "v2-tiny") <= 1e-4
    right = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def compared(other: DPT) -> bool:
        found = other.state_dict()
        return list(found) == list(right) and all(torch.equal(found[name], right[name]) for name in found)

    return compared


def flip(weights: Path, *, at: int = -1000) -> None:
    """Change one bit among the numbers: no check finds it that does not read them."""
    damaged = bytearray(weights.read_bytes())
    damaged[at] ^= 64
    weights.write_bytes(damaged)


def golden_difference(model: DPT, name: str) -> float:
    """Largest difference to the authors' output, in units of its standard deviation, over all stored inputs."""
    worst = 0.0
    for case, expected in load_file(GOLDEN / f"{name}.safetensors").items():
        size, _, every = case.partition("/every")
        height, width = map(int, size.split("x"))
        with torch.inference_mode():
            depth = model(torch.from_numpy(reference_image(height, width)))[0, :: int(every), :: int(every)]
        worst = max(worst, float((depth - expected).abs().max() / expected.std()))
    return worst


@pytest.fixture(autouse=True)
def nobody_waits_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell who writes (not Linux), a file is a minute old before its hash is remembered."""
    monkeypatch.setattr("depthhub.steps.local_file._SLOW_SECONDS", 2.0)


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`catalog({...})`: a catalog of one's own with these checkpoints, in force."""

    def use(*checkpoints: dict[str, object]) -> None:
        monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", *checkpoints)))

    return use


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


@pytest.fixture
def commit(local_hub: LocalHub, tiny: Path) -> str:
    return local_hub.add_file(REPO, FILE, tiny)


@pytest.fixture
def pinned(local_hub: LocalHub, commit: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name whose commit and digest a catalog pins."""
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entry = checkpoint("tiny-pinned", repo_id=REPO, filename=FILE, revision=commit, sha256=digest)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    return "tiny-pinned"
