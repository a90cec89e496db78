"""Files that have a part which nobody wrote: holes, and room that was only reserved. Both read as zeros."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from depthhub import CheckpointError, from_pretrained
from depthhub.testing import make_checkpoint
from depthhub_cache.store import Store

from .conftest import golden_difference


@pytest.mark.parametrize("part", [0.02, 0.5, 0.97])
def test_safetensors_with_a_hole_are_refused_before_they_are_hashed(tmp_path: Path, cache: Path, part: float) -> None:
    """Room was made for the file, and what should fill it stopped."""
    path = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny")
    content = path.read_bytes()
    with path.open("wb") as file:
        file.write(content[: int(len(content) * part)])
        file.truncate(len(content))
    stages: list[str] = []
    require_told(path)
    with pytest.raises(CheckpointError, match=r"never written, from byte .* `cp --sparse=never`"):
        from_pretrained(path, family="v2", cache_dir=cache, progress=lambda told: stages.append(told.stage))
    assert "verifying" not in stages
    path.write_bytes(path.read_bytes())  # as that `cp` does
    with pytest.raises(CheckpointError, match=r"of its 67 matrices are 0"):
        from_pretrained(path, family="v2", cache_dir=cache)
    assert list(Store(cache).entries()) == []


@pytest.mark.parametrize("kind", ["old format", "no checksums"])
def test_a_pth_without_checksums_with_a_hole_in_a_matrix_is_refused(tmp_path: Path, cache: Path, kind: str) -> None:
    path = make_checkpoint(tmp_path / "w.pth", encoder="tiny", container="legacy" if kind == "old format" else "pth")
    if kind == "no checksums":
        state = torch.load(path)
        torch.serialization.set_crc32_options(False)
        try:
            torch.save(state, path)
        finally:
            torch.serialization.set_crc32_options(True)
    from_pretrained(path, family="v2", cache_dir=cache)
    with_a_hole(path, begin=path.stat().st_size // 2, size=1 << 16)
    with pytest.raises(CheckpointError, match=r"never written, from byte .* `cp --sparse=never`"):
        from_pretrained(path, family="v2", cache_dir=cache)
    assert len(list(Store(cache).entries())) == 1


def test_zeros_that_a_checksum_vouches_for_may_be_a_hole(tmp_path: Path, cache: Path) -> None:
    beside = {"buffer": torch.zeros(1 << 16)}
    path = make_checkpoint(tmp_path / "w.pth", encoder="tiny", wrapper="model", beside=beside)
    content = path.read_bytes()
    with_a_hole(path, begin=content.index(bytes(1 << 18)), size=1 << 18)
    assert path.read_bytes() == content
    assert golden_difference(from_pretrained(path, family="v2", cache_dir=cache), "v2-tiny") <= 1e-4


def with_a_hole(path: Path, *, begin: int, size: int) -> None:
    """Write it anew, but for a part of it. Skips where the file system does not tell."""
    content = path.read_bytes()
    with path.open("wb") as file:
        file.write(content[:begin])
        file.seek(begin + size)
        file.write(content[begin + size :])
    require_told(path)


def require_told(path: Path) -> None:
    """The system is asked here, and not the code under test."""
    with path.open("rb") as file:
        if not hasattr(os, "SEEK_HOLE") or os.lseek(file.fileno(), 0, os.SEEK_HOLE) == path.stat().st_size:
            pytest.skip("this file system does not tell")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs a way to reserve room")
def test_what_was_only_reserved_is_found_though_somebody_has_read_it(tmp_path: Path, cache: Path) -> None:
    path = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny")
    content = path.read_bytes()
    path.unlink()
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, len(content))
        file.write(content[: len(content) * 9 // 10])
        file.flush()
        os.fsync(file.fileno())
    require_told(path)
    assert path.read_bytes() != content
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"never written, from byte .* `cp --sparse=never`"):
            from_pretrained(path, family="v2", cache_dir=cache)
    assert list(Store(cache).entries()) == []
    path.write_bytes(content)
    assert golden_difference(from_pretrained(path, family="v2", cache_dir=cache), "v2-tiny") <= 1e-4
