"""An archive is read in one way only, and one that is not what its list of members says is not read at all."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.checkpoint.zipped import Zipped
from depthhub.errors import CheckpointError
from depthhub.testing import make_checkpoint

from .states import read


def members_in(content: bytes) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sorted(archive.infolist(), key=lambda info: info.header_offset)


def refused(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        read(path)
    assert "ownload it again" in str(caught.value)


def test_members_are_where_python_and_torch_find_them(tiny: Path) -> None:
    with OpenCheckpoint(tiny) as opened:
        archive = Zipped.of(opened)
    reader = torch._C.PyTorchFileReader(str(tiny))
    with zipfile.ZipFile(tiny) as expected:
        assert archive.members.keys() == {*expected.namelist()}
        for name, member in archive.members.items():
            assert bytes(archive.bytes_of(member)) == expected.read(name)
            assert member.begin == reader.get_record_offset(name.partition("/")[2])


def test_a_download_whose_middle_never_came_names_the_first_member_that_is_missing(tmp_path: Path, tiny: Path) -> None:
    content = bytearray(tiny.read_bytes())
    quarter = len(content) // 4
    content[quarter : 2 * quarter] = bytes(quarter)
    first = next(info for info in members_in(tiny.read_bytes()) if info.header_offset >= quarter)
    refused(tmp_path / "weights.pth", content, f"its member {first.filename} is not where")


@pytest.mark.parametrize(
    ("place", "lie"), [(0, b"PK\x03\x05"), (18, b"\x01\0\0\0"), (22, b"\x01\0\0\0"), (26, b"\x01\0"), (30, b"B")]
)
def test_a_member_whose_own_header_says_something_else_is_refused(
    tmp_path: Path, tiny: Path, place: int, lie: bytes
) -> None:
    content = bytearray(tiny.read_bytes())
    at = members_in(content)[-2].header_offset + place
    content[at : at + len(lie)] = lie
    refused(tmp_path / "weights.pth", content, "is not where the list of members says")


def test_two_archives_one_after_the_other_are_not_guessed_at(tmp_path: Path, tiny: Path) -> None:
    """Python reads the second, torch the first."""
    other = make_checkpoint(tmp_path / "other.pth", seed=1).read_bytes()
    refused(tmp_path / "weights.pth", tiny.read_bytes() + other, "not one zip archive")


def end_said(content: bytes, change: int) -> bytes:
    at = content.rindex(b"PK\x05\x06") + 16
    [offset] = struct.unpack_from("<I", content, at)
    return content[:at] + struct.pack("<I", offset + change) + content[at + 4 :]


@pytest.mark.parametrize(
    "change", [lambda old: end_said(old, 1), lambda old: end_said(old, -1), lambda old: b"PK\x03\x04" + old]
)
def test_a_list_of_members_that_is_not_where_it_says_is_refused(
    tmp_path: Path, tiny: Path, change: Callable[[bytes], bytes]
) -> None:
    refused(tmp_path / "weights.pth", change(tiny.read_bytes()), "not one zip archive|no readable list")


def test_two_members_of_one_name_are_refused(tmp_path: Path, tiny: Path) -> None:
    content = tiny.read_bytes()
    one, other = (info.filename.encode() for info in members_in(content) if info.filename.endswith(("/12", "/13")))
    assert len(one) == len(other)
    refused(tmp_path / "weights.pth", content.replace(other, one), "two members of one name")


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    """The second member lies in the first one's content."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x/data/1", bytes(100))
    hidden = inner.getvalue()[: inner.getvalue().index(b"PK\x01\x02")]
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("x/data/0", hidden)
        archive.writestr("x/data/1", bytes(100))
    content = outer.getvalue()
    second = content.rindex(b"PK\x01\x02")
    offset = struct.pack("<I", content.index(hidden))
    refused(tmp_path / "weights.pth", content[: second + 42] + offset + content[second + 46 :], "reaches into")


def test_an_archive_whose_headers_tell_sizes_is_read(tmp_path: Path, tiny: Path) -> None:
    """As other programs write them."""
    with zipfile.ZipFile(tiny) as old, zipfile.ZipFile(tmp_path / "weights.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name.replace("archive/", "модель/"), old.read(name))
    mine, theirs = read(tmp_path / "weights.pth").tensors, read(tiny).tensors
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_members_have_the_names_of_the_list_whatever_else_is_said_of_them(tmp_path: Path) -> None:
    """Some versions of Python take another name out of a further field, and all of them end one at a NUL."""
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name, other in ((b"x/data/0", b"x/data/1"), (b"x/data/1", b"x/data/0"), (b"x/data/2?", b"")):
            info = zipfile.ZipInfo(name.decode())
            info.extra = struct.pack("<HHBI", 0x7075, 5 + len(other), 1, zlib.crc32(name)) + other if other else b""
            archive.writestr(info, name)
    path.write_bytes(path.read_bytes().replace(b"2?", b"2\0"))
    with OpenCheckpoint(path) as opened:
        archived = Zipped.of(opened)
    assert {name: bytes(archived.bytes_of(member)) for name, member in archived.members.items()} == {
        name: name.encode() for name in ("x/data/0", "x/data/1", "x/data/2\0")
    }


def test_an_archive_with_large_numbers_is_read(tmp_path: Path, tiny: Path) -> None:
    """ZIP64, as in a file of more than 4 GiB: sizes and places are told in another field."""
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(tiny) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            with new.open(name, "w", force_zip64=True) as member:
                member.write(old.read(name))
    assert len(read(path).tensors) == len(read(tiny).tensors)
