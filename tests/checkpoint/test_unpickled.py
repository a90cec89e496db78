"""Tensors are the numbers of their own record, whatever torch was told elsewhere in the process."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.serialization import LoadEndianness, set_default_load_endianness

from depthhub.checkpoint.pickles import safe_pickle_in
from depthhub.checkpoint.reading import read_checkpoint
from depthhub.checkpoint.unpickled import unpickled
from depthhub.checkpoint.zipped import Zipped
from depthhub.errors import CheckpointError
from depthhub.testing import make_checkpoint

from .states import golden_shapes, same_bits, state_dict


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in state_dict(golden_shapes("v2-tiny")).items()}


def rewritten(source: Path, target: Path, *, without: str = "", halved: str = "") -> Path:
    """`source`, sound as an archive, without one member, or with one that is half as long."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if not (without and name.endswith(without)):
                new.writestr(name, content[: len(content) // 2] if halved and name.endswith(halved) else content)
    return target


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_tensor_that_was_saved_without_its_numbers_is_not_given_others(
    tmp_path: Path, state: dict[str, Tensor], dtype: torch.dtype
) -> None:
    """As a sharded training does it that frees what it gathered; what the memory holds would be the numbers."""
    freed = {key: tensor.to(dtype, copy=True) for key, tensor in state.items()}
    freed["pretrained.norm.weight"].untyped_storage().resize_(0)
    path = tmp_path / "freed.pth"
    torch.save({"model": freed, "optimizer": {"state": torch.zeros(200_000)}}, path)
    with pytest.raises(CheckpointError, match="has 0 bytes, and a tensor of it"):
        read_checkpoint(path)


def test_a_record_that_is_shorter_than_said_does_not_go_on_in_the_next_one(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    """What lies beside the weights makes up for the size."""
    torch.save({"model": state, "optimizer": {"state": torch.zeros(200_000)}}, tmp_path / "training.pth")
    path = rewritten(tmp_path / "training.pth", tmp_path / "short.pth", halved="/data/3")
    with pytest.raises(CheckpointError, match=r"its record 3 has \d+ bytes, and not \d+ numbers of torch.float32"):
        read_checkpoint(path)


def test_a_record_that_is_not_there_is_named(tmp_path: Path, tiny: Path) -> None:
    path = rewritten(tiny, tmp_path / "weights.pth", without="/data/3")
    with pytest.raises(CheckpointError, match="it has no record 3"):
        read_checkpoint(path)


def test_tensors_that_shared_memory_share_it_still_and_empty_ones_are_empty(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    both = torch.arange(6.0).view(2, 3)
    torch.save({**state, "x.whole": both, "x.turned": both.t(), "x.none": torch.ones(0, 3)}, tmp_path / "weights.pth")
    with zipfile.ZipFile(tmp_path / "weights.pth") as archive:
        assert archive.getinfo(f"weights/data/{len(state) + 1}").file_size == 0, "the case that is tested"
    found = Zipped.open(tmp_path / "weights.pth")
    read = unpickled(found, safe_pickle_in(found))
    assert isinstance(read, dict)
    assert same_bits(read["x.turned"], both.t())
    assert read["x.whole"].untyped_storage().data_ptr() == read["x.turned"].untyped_storage().data_ptr()
    assert read["x.none"].shape == (0, 3)


@contextmanager
def big_endian_by_default() -> Iterator[None]:
    set_default_load_endianness(LoadEndianness.BIG)
    try:
        yield
    finally:
        set_default_load_endianness(None)


TOLD = {
    "skip_data": torch.serialization.skip_data,
    "big endian": big_endian_by_default,
    "default device": lambda: torch.device("meta"),
    "inference": torch.inference_mode,
}


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
def test_what_torch_was_told_elsewhere_changes_no_number(tmp_path: Path, tiny: Path, container: str, told) -> None:  # type: ignore[no-untyped-def]
    path = make_checkpoint(tmp_path / "weights", container=container)  # type: ignore[arg-type]
    if container == "pth":  # as torch wrote it before 2.1
        path = rewritten(path, tmp_path / "old.pth", without="/byteorder")
    expected = read_checkpoint(tiny).tensors
    with told():
        tensors = read_checkpoint(path).tensors
    assert all(same_bits(tensors[key], expected[key]) for key in expected)


@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
def test_descriptions_of_tensors_are_not_taken_for_numbers(tmp_path: Path, container: str) -> None:
    path = make_checkpoint(tmp_path / "weights", container=container)  # type: ignore[arg-type]
    with FakeTensorMode(), pytest.raises(CheckpointError, match="FakeTensor of every tensor"):
        read_checkpoint(path)
