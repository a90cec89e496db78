"""The real command line, in this process: what a shell would see of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from depthhub.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def depthhub(hub_environment: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`depthhub("list", "--json")`: exit code, stdout and stderr; in empty caches, and never with a traceback."""

    def run(*argv: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        outcome = Outcome(code, *capsys.readouterr())
        if "--verbose" not in argv:
            assert "Traceback" not in outcome.err
        return outcome

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photograph, wider than high."""
    return save_photo(tmp_path / "photo.jpg")


def save_photo(path: Path, *, width: int = 48, height: int = 32, **options: Any) -> Path:
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 255 / height, columns * 255 / width, (rows + columns) % 256], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path
