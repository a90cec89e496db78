"""What would run code, lies about its sizes, is cut or is no checkpoint is refused, and called what it is."""

from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
import re
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthhub.errors import CheckpointError, UnsafeCheckpointError
from depthhub.testing import make_checkpoint

from .states import read


class RunsACommand:
    """What an attacker puts into a pickle."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def trusting_application() -> Iterator[None]:
    """An application that told torch to accept what we never do."""
    with torch.serialization.safe_globals([argparse.Namespace, os.mkdir]):
        yield


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_file_that_would_run_code_is_refused_by_name_and_runs_nothing(
    tmp_path: Path, state: dict[str, Tensor], legacy: bool
) -> None:
    marker = tmp_path / "ran"
    contents = {"model": state, "evil": RunsACommand(marker), "args": argparse.Namespace(epochs=3)}
    torch.save(contents, tmp_path / "weights.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeCheckpointError) as caught:
        read(tmp_path / "weights.pth")
    assert caught.value.offending == (f"{os.name}.mkdir", "argparse.Namespace"), "all of them, in their order"
    assert f"{os.name}.mkdir, argparse.Namespace" in str(caught.value)
    assert "state_dict()" in str(caught.value), "what to do next"
    assert not marker.exists()


@pytest.mark.usefixtures("trusting_application")
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_what_an_application_allows_torch_is_not_allowed_here(
    tmp_path: Path, state: dict[str, Tensor], legacy: bool
) -> None:
    marker = tmp_path / "ran"
    contents = {"model": state, "evil": RunsACommand(marker)}
    torch.save(contents, tmp_path / "weights.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeCheckpointError):
        read(tmp_path / "weights.pth")
    assert not marker.exists()


def test_a_newer_pickle_protocol_is_refused_by_name_too(tmp_path: Path, state: dict[str, Tensor]) -> None:
    contents = {"model": state, "one": argparse.Namespace(), "two": argparse.ArgumentParser}
    torch.save(contents, tmp_path / "weights.pth", pickle_protocol=4)
    with pytest.raises(UnsafeCheckpointError) as caught:
        read(tmp_path / "weights.pth")
    assert caught.value.offending == ("argparse.Namespace", "argparse.ArgumentParser")

    torch.save(state, tmp_path / "plain.pth", pickle_protocol=4)
    with pytest.raises(CheckpointError, match="pickle protocol 4"):
        read(tmp_path / "plain.pth")


def test_a_pickle_that_torch_never_wrote_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(argparse.Namespace()))
    with pytest.raises(UnsafeCheckpointError, match=r"argparse\.Namespace"):
        read(path)
    path.write_bytes(pickle.dumps({"epoch": 3}))
    with pytest.raises(CheckpointError, match="is a pickle, but not one"):
        read(path)


HUGE = (2**44).to_bytes(8, "little")


LIES = {
    "bytes": b"\x80\x04\x8e" + HUGE,
    "text": b"\x80\x04\x8d" + HUGE,
    "bytearray": b"\x80\x05\x96" + HUGE,
    "long": b"\x80\x02\x8b" + b"\xff\xff\xff\x7f",
    "frame": b"\x80\x04\x95" + HUGE,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize("magic", [b"", pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)], ids=["alone", "torch's"])
def test_a_pickle_that_claims_terabytes_is_damaged_and_takes_no_memory(
    tmp_path: Path, lie: bytes, magic: bytes
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(magic + lie + b"....")
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def archive_of(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/version", "3\n")
    return path


FOOLING = (
    b"\x80\x02"  # announces protocol 2
    b"\x8c\x02os\x8c\x05mkdir"  # what is taken,
    b"\x8c\x05torch0\x8c\x04Size0"  # and what a scan that knows no POP takes for it
    b"\x93."
)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_an_import_whose_name_is_made_on_the_stack_is_refused_whatever_it_seems(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "weights.pth"
    if legacy:
        rest = pickle.dumps(1001, protocol=2) + pickle.dumps({}, protocol=2) + FOOLING + pickle.dumps([], protocol=2)
        path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + rest)
    else:
        archive_of(path, FOOLING)
    with pytest.raises(CheckpointError, match="pickle protocol 4"):
        read(path)


def test_a_torchscript_archive_is_refused_as_code(tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("scripted/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("scripted/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("scripted/code/__torch__.py", "")
    with pytest.raises(UnsafeCheckpointError, match="TorchScript"):
        read(path)


def deflated(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def test_a_compressed_archive_is_refused(tmp_path: Path, tiny: Path) -> None:
    deflated(tiny, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="is compressed or encrypted"):
        read(tmp_path / "weights.pth")


def test_a_zip_around_a_checkpoint_is_not_taken_for_one(tmp_path: Path, tiny: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.write(tiny, "weights.pth")
    with pytest.raises(CheckpointError, match="Unpack it"):
        read(tmp_path / "weights.zip")


def test_members_that_claim_more_than_the_file_has_are_refused(tmp_path: Path, tiny: Path) -> None:
    """Every entry of the list of members points at the same bytes: many times the file, stored once."""
    data = tiny.read_bytes()
    with zipfile.ZipFile(tiny) as archive:
        start = archive.start_dir
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    directory = data[start:]
    for match in re.finditer(rb"PK\x01\x02", directory):
        at = match.start()
        sizes = largest.file_size.to_bytes(4, "little") * 2
        directory = directory[: at + 20] + sizes + directory[at + 28 :]
    (tmp_path / "weights.pth").write_bytes(data[:start] + directory)
    with pytest.raises(CheckpointError, match="members claim"):
        read(tmp_path / "weights.pth")


def test_a_big_endian_file_is_refused_before_it_is_swapped(tmp_path: Path, tiny: Path) -> None:
    with zipfile.ZipFile(tiny) as old, zipfile.ZipFile(tmp_path / "weights.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("/byteorder") else old.read(name))
    with pytest.raises(CheckpointError, match="big-endian"):
        read(tmp_path / "weights.pth")


def test_a_tensor_that_repeats_a_few_bytes_for_ever_is_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    endless = torch.zeros(1).expand(10**12)
    torch.save({**state, "pretrained.norm.weight": endless}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="tensors claim"):
        read(tmp_path / "weights.pth")


class Claims:
    """A tensor in a pickle, with whatever numbers an attacker likes."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[object, ...]:
        return torch._utils._rebuild_tensor_v2, (*self.arguments, False, collections.OrderedDict())


class Storage:
    """Where the numbers of `Claims` are said to be."""


def crafted(path: Path, storage_numel: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Path:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            wanted = isinstance(value, Storage)
            return ("storage", torch.FloatStorage, "0", "cpu", storage_numel) if wanted else None

    pickled = io.BytesIO()
    tensor = Claims(Storage(), offset, shape, stride)
    names = ["pretrained.blocks.0.norm1.weight", "depth_head.projects.0.bias"]
    Pickler(pickled, protocol=2).dump(dict.fromkeys(names, tensor))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled.getvalue())
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/version", "3\n")
        archive.writestr("x/data/0", bytes(400))
    return path


def test_the_crafted_file_is_sound_where_its_numbers_are(tmp_path: Path) -> None:
    assert read(crafted(tmp_path / "x.pth", 100, 0, (50,), (1,))).layout == "original"


@pytest.mark.parametrize(
    "numbers",
    [
        (10**9, 0, (10**9,), (1,)),
        (-10, 0, (10,), (1,)),
        (100, -5, (10,), (1,)),
        (100, 50, (10,), (-1,)),
        (100, 10**15, (10,), (1,)),
        (100, 0, (-10,), (1,)),
    ],
)
def test_tensors_outside_of_their_file_are_refused(
    tmp_path: Path, numbers: tuple[int, int, tuple[int, ...], tuple[int, ...]]
) -> None:
    with pytest.raises(CheckpointError):
        read(crafted(tmp_path / "x.pth", *numbers))


JUNK = {
    "empty": (b"", "it is empty"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
    "page": (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "web page"),
    "json": (b'{"error":"Repository not found"}', "neither torch.save's format nor safetensors"),
    "noise": (b"\x93NUMPY\x01\x00", "NUMPY"),
}


@pytest.mark.parametrize(("data", "words"), JUNK.values(), ids=JUNK)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=words) as caught:
        read(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [1, 12, 5_000, 0.5, -1])
def test_a_file_that_was_cut_short_is_an_error_that_says_so(tmp_path: Path, container: str, kept: float) -> None:
    path = make_checkpoint(tmp_path / "weights", container=container)  # type: ignore[arg-type]
    data = path.read_bytes()
    cut = int(len(data) * kept) if 0 < kept < 1 else int(kept)
    path.write_bytes(data[:cut])
    with pytest.raises(CheckpointError, match=r"cut short|damaged|no checkpoint"):
        read(path)


def test_an_old_tar_file_of_torch_is_refused(tmp_path: Path, tiny: Path) -> None:
    with tarfile.open(tmp_path / "weights.pth", "w") as archive:
        archive.add(tiny, "tensors")
    with pytest.raises(CheckpointError):
        read(tmp_path / "weights.pth")
