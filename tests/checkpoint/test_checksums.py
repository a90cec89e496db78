"""What was saved is what is read: the length of a file is no proof of it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from depthhub.checkpoint.checksums import are_right
from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.errors import CheckpointError
from depthhub.testing import make_checkpoint

from .states import golden_shapes, read, same_bits, state_dict


def largest_in(path: Path) -> zipfile.ZipInfo:
    with zipfile.ZipFile(path) as archive:
        return max(archive.infolist(), key=lambda info: info.file_size)


@pytest.mark.parametrize("damage", [bytes(1 << 16), b"?"], ids=["zeros", "one byte"])
def test_a_member_that_was_damaged_inside_is_named(tmp_path: Path, tiny: Path, damage: bytes) -> None:
    member = largest_in(tiny)
    content = bytearray(tiny.read_bytes())
    at = member.header_offset + member.file_size // 2
    content[at : at + len(damage)] = damage
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"its member {member.filename} has another checksum") as caught:
        read(tmp_path / "weights.pth")
    assert "Download it again" in str(caught.value)
    assert caught.value.path == tmp_path / "weights.pth"


def test_a_list_of_members_that_lost_a_checksum_does_not_hide_damage(tmp_path: Path, tiny: Path) -> None:
    """torch writes each a second time, behind the member."""
    member, content = largest_in(tiny), bytearray(tiny.read_bytes())
    listed = content.rindex(member.CRC.to_bytes(4, "little"))
    content[listed : listed + 4] = bytes(4)
    (tmp_path / "weights.pth").write_bytes(content)
    assert read(tmp_path / "weights.pth").layout == "original"
    content[member.header_offset + member.file_size // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="has another checksum"):
        read(tmp_path / "weights.pth")


def test_a_file_of_two_versions_is_refused(tmp_path: Path, tiny: Path) -> None:
    """A download that was resumed after the file had changed: same places, same sizes, other numbers."""
    old, new = tiny.read_bytes(), make_checkpoint(tmp_path / "new.pth", seed=1).read_bytes()
    assert len(old) == len(new)
    half = len(old) // 2
    (tmp_path / "weights.pth").write_bytes(old[:half] + new[half:])
    with pytest.raises(CheckpointError, match=r"archive/data/\d+ \(and \d+ more\) has another checksum"):
        read(tmp_path / "weights.pth")


def test_numbers_that_were_written_after_their_archive_are_read(tmp_path: Path) -> None:
    """Room is made for them first: only the pickle has a checksum then."""
    state = {key: tensor.clone() for key, tensor in state_dict(golden_shapes("v2-tiny")).items()}
    path = tmp_path / "weights.pth"
    with torch.serialization.skip_data():
        torch.save(state, path)
    reader = torch._C.PyTorchFileReader(str(path))
    with path.open("r+b") as file:
        for number, tensor in enumerate(state.values()):
            file.seek(reader.get_record_offset(f"data/{number}"))
            file.write(tensor.numpy().tobytes())
    tensors = read(path).tensors
    assert all(same_bits(tensors[key], state[key]) for key in state)


def test_they_are_compared_beside_the_hash_and_once(tmp_path: Path, tiny: Path) -> None:
    other = make_checkpoint(tmp_path / "other", container="safetensors")
    damaged = tmp_path / "damaged.pth"
    content = bytearray(tiny.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    for path, right in ((tiny, True), (other, False), (damaged, False)):
        with OpenCheckpoint(path) as opened:
            assert are_right(opened) is right, "what has none is not right either"


@pytest.mark.skipif(not hasattr(os, "pread"), reason="not compared beside the hash there")
def test_beside_the_hash_nothing_is_mapped(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cuts the file short meanwhile would end the process."""

    def mapping(*_: object, **__: object) -> NoReturn:
        raise AssertionError("mapped")

    monkeypatch.setattr("mmap.mmap", mapping)
    with OpenCheckpoint(tiny) as opened:
        assert are_right(opened)
