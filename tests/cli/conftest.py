"""The real command line, in this process or in one of its own: what a shell would see of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from depthhub.cli import main

from ..catalogs import checkpoint, write_catalog


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cache(hub_environment: Path) -> Path:
    """The cache's root, in an environment of the test's own."""
    return hub_environment / "depthhub"


@pytest.fixture
def depthhub(cache: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`depthhub("list", "--json")`: exit code, stdout and stderr; in empty caches, and never with a traceback."""

    def run(*argv: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        outcome = Outcome(code, *capsys.readouterr())
        if not {"-v", "--verbose"} & set(argv):
            assert "Traceback" not in outcome.err
        return outcome

    return run


def flip_a_bit(path: Path) -> None:
    """Among the numbers, where only `--deep` looks."""
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)


@pytest.fixture
def weights(depthhub, tiny) -> Path:
    """The converted file of `tiny`, pulled as V2."""
    (pulled,) = depthhub("pull", tiny, "--family", "v2", "--json").json
    return Path(pulled["path"])


@pytest.fixture
def pulled(weights: Path) -> str:
    """The key of that entry."""
    return weights.parent.name


@pytest.fixture
def shell(cache: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`shell("-m", "depthhub", "list")`: Python with these arguments, in a process of its own."""

    def run(*argv: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, argv)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photograph, wider than high."""
    return save_photo(tmp_path / "photo.jpg")


@pytest.fixture
def named(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name whose digest a catalog pins: that of `tiny`, in `owner/repo/tiny.pth`."""
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entry = checkpoint("tiny-named", repo_id="owner/repo", filename="tiny.pth", sha256=digest, size=tiny.stat().st_size)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    return "tiny-named"


def save_photo(path: Path, *, width: int = 48, height: int = 32, **options: Any) -> Path:
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 255 / height, columns * 255 / width, (rows + columns) % 256], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path
