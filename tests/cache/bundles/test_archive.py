"""The reader of archives takes what the writer writes, and not one bit of anything else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache.bundles.archive import BLOCK, END, SIZE_LIMIT, ArchiveReader, ArchiveWriter, header, padded
from depthhub_cache.errors import BundleError

Members = list[tuple[str, bytes]]
PATH = Path("models.tar")
TWO: Members = [("bundle.json", b"{}"), ("refs/ab.json", b"x" * 700)]

_names = st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}(\.[a-z]{1,4})?", fullmatch=True)
_members = st.lists(st.tuples(_names, st.binary(max_size=1600)), max_size=4)


def written(members: Members) -> bytes:
    out = io.BytesIO()
    writer = ArchiveWriter(out.write)
    for name, data in members:
        writer.add(name, len(data), [data[:300], data[300:]])
    writer.end()
    assert writer.written == len(out.getvalue())
    return out.getvalue()


def read(data: bytes, members: Members) -> Members:
    """What is read where `members` are expected."""
    reader = ArchiveReader(io.BytesIO(data), PATH)
    found = [(name, b"".join(reader.member(name, len(content)))) for name, content in members]
    reader.end()
    assert reader.done == len(data)
    return found


def block_of(kind: bytes = tarfile.REGTYPE, *, format: int = tarfile.USTAR_FORMAT, **facts: object) -> bytes:
    """The header that another program writes for a member like the second of `TWO`, but for `facts`."""
    info = tarfile.TarInfo("refs/ab.json")
    info.type, info.size, info.mode = kind, 700, 0o644
    for name, value in facts.items():
        setattr(info, name, value)
    return info.tobuf(format)[-BLOCK:]


def with_checksum(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@given(members=_members)
@settings(deadline=None, max_examples=60)
def test_what_was_written_is_read(members: Members) -> None:
    assert read(written(members), members) == members


@given(members=_members)
@settings(deadline=None, max_examples=60)
def test_every_other_reader_of_archives_reads_it_too(members: Members) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(members)), mode="r:") as archive:
        found = archive.getmembers()
        assert [(info.name, archive.extractfile(info).read()) for info in found] == members  # type: ignore[union-attr]
    for info in found:
        assert info.isreg()
        facts = (info.mode, info.mtime, info.uid, info.gid, info.uname, info.gname, info.linkname)
        assert facts == (0o644, 0, 0, 0, "", "", "")


def test_a_member_takes_whole_blocks() -> None:
    assert [padded(size) for size in (0, 1, 512, 513)] == [0, 512, 512, 1024]
    assert len(written(TWO)) == 3 * BLOCK + padded(2) + padded(700) - BLOCK + len(END)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/.b",
        "a\\b",
        "c:a",
        "a\0b",
        "A",
        "é",
        "a b",
        "a\n",
        "a" * 101,
    ],
)
def test_a_name_that_could_mean_more_than_one_thing_is_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a member"):
        header(name, 1)


@pytest.mark.parametrize("size", [-1, SIZE_LIMIT + 1])
def test_a_size_that_no_header_can_say_is_not_written(size: int) -> None:
    with pytest.raises(ValueError, match="cannot be a member"):
        header("a", size)
    assert len(header("a", SIZE_LIMIT)) == BLOCK


@pytest.mark.parametrize("chunks", [[], [b"abc"], [b"abc", b"de"], [b"abcde"]])
def test_the_writer_holds_the_sizes_to_what_was_announced(chunks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="announced"):
        ArchiveWriter(io.BytesIO().write).add("a", 4, chunks)


def test_a_stream_that_gives_little_at_a_time_is_read_all_the_same() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 7))

    reader = ArchiveReader(Slow(written(TWO)), PATH)
    assert reader.announced("bundle.json", limit=10) == b"{}"
    assert b"".join(reader.member("refs/ab.json", 700)) == b"x" * 700
    reader.end()


def test_the_first_member_may_tell_its_own_size_up_to_a_limit() -> None:
    assert ArchiveReader(io.BytesIO(written(TWO)), PATH).announced("bundle.json", limit=2) == b"{}"
    with pytest.raises(BundleError, match="2 bytes, more than the 1 that it may have"):
        ArchiveReader(io.BytesIO(written(TWO)), PATH).announced("bundle.json", limit=1)
    for size in (b"-0000000002\0", b"00000000002 ", b"          2\0", b"\x80" + bytes(10) + b"\2"):
        block = bytearray(header("bundle.json", 2))
        block[124:136] = size
        with pytest.raises(BundleError):
            ArchiveReader(io.BytesIO(with_checksum(block) + bytes(BLOCK)), PATH).announced("bundle.json", limit=10)


NAMES = ["../ab.json", "/refs/ab.json", "refs\\ab.json", "C:\\ab.json", "refs/../../ab.json", "REFS/ab.json", "refs/ab"]
KINDS = {
    "a hard link": tarfile.LNKTYPE,
    "a symbolic link": tarfile.SYMTYPE,
    "a device": tarfile.CHRTYPE,
    "a folder": tarfile.DIRTYPE,
    "a pipe": tarfile.FIFOTYPE,
    "a sparse file": tarfile.GNUTYPE_SPARSE,
    "a header of an extended kind": tarfile.XHDTYPE,
    "of an unknown kind": tarfile.CONTTYPE,
}
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    **{f"name {name}": (lambda name=name: block_of(name=name), "in its place is") for name in NAMES},  # type: ignore[misc]
    **{what: (lambda kind=kind: block_of(kind), what) for what, kind in KINDS.items()},  # type: ignore[misc]
    "block device": (lambda: block_of(tarfile.BLKTYPE), "a device"),
    "global header": (lambda: block_of(tarfile.XGLTYPE), "extended"),
    "long name": (lambda: block_of(tarfile.GNUTYPE_LONGNAME), "extended"),
    "long link": (lambda: block_of(tarfile.GNUTYPE_LONGLINK), "extended"),
    "old regular file": (lambda: block_of(tarfile.AREGTYPE), "unknown kind"),
    "folder by its name": (lambda: block_of(name="refs/ab.json/"), "in its place is"),
    "smaller": (lambda: block_of(size=699), "another size"),
    "larger": (lambda: block_of(size=701), "another size"),
    "huge": (lambda: block_of(size=SIZE_LIMIT), "another size"),
    "size in base 256": (lambda: block_of(size=1 << 60, format=tarfile.GNU_FORMAT), "another size"),
    "negative size": (lambda: block_of(size=-700, format=tarfile.GNU_FORMAT), "another size"),
    "mode": (lambda: block_of(mode=0o4755), "not as"),
    "time": (lambda: block_of(mtime=1), "not as"),
    "user": (lambda: block_of(uid=1000), "not as"),
    "group": (lambda: block_of(gid=1000), "not as"),
    "name of the user": (lambda: block_of(uname="root"), "not as"),
    "target of a link": (lambda: block_of(linkname="/etc/passwd"), "not as"),
    "GNU format": (lambda: block_of(format=tarfile.GNU_FORMAT), "not as"),
    "nothing": (lambda: bytes(BLOCK), "missing"),
    "noise": (lambda: b"noise" * 102 + b"no", "nothing that a bundle holds"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_member_of_another_name_kind_or_size_is_refused_before_its_bytes_are_read(what: str) -> None:
    make, said = HOSTILE[what]
    good = written(TWO)
    place = 2 * BLOCK
    assert good[place : place + BLOCK] == header("refs/ab.json", 700)
    file = io.BytesIO(good[:place] + make() + good[place + BLOCK :])
    reader = ArchiveReader(file, PATH)
    reader.announced("bundle.json", limit=10)
    with pytest.raises(BundleError, match=said) as caught:
        next(reader.member("refs/ab.json", 700))
    assert (caught.value.path, caught.value.member) == (PATH, "refs/ab.json")
    assert file.tell() == place + BLOCK


def test_a_name_hidden_behind_a_zero_or_in_the_second_field_for_it_is_refused() -> None:
    good = written(TWO)
    for place, text in ((50, b"../evil"), (345, b"../evil"), (500, b"evil"), (329, b"0000001\0")):
        block = bytearray(good[:BLOCK])
        block[place : place + len(text)] = text
        with pytest.raises(BundleError, match=r"in its place is|not as"):
            read(with_checksum(block) + good[BLOCK:], TWO)


def test_a_duplicate_is_not_the_next_member() -> None:
    with pytest.raises(BundleError, match=r"in its place is 'bundle\.json'"):
        read(written([TWO[0], TWO[0]]), TWO)


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    with pytest.raises(BundleError) as caught:
        read(written([TWO[0]])[: 2 * BLOCK] + block_of(name="\x1b[2J\u202e"), TWO)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("program", "compress"),
    [
        ("gzip", gzip.compress),
        ("bzip2", bz2.compress),
        ("xz", lzma.compress),
        ("zstd", lambda data: b"\x28\xb5\x2f\xfd" + data),
        ("zip", lambda data: b"PK\3\4" + data),
    ],
)
def test_what_is_compressed_is_refused_unread(program: str, compress: Callable[[bytes], bytes]) -> None:
    file = io.BytesIO(compress(bytes(range(256)) * 10_000))
    with pytest.raises(BundleError, match=rf"compressed \({program}\).*decompress it first"):
        ArchiveReader(file, PATH).announced("bundle.json", limit=1 << 20)
    assert file.tell() <= BLOCK


def test_bytes_behind_a_member_are_zeros() -> None:
    data = bytearray(written(TWO))
    data[BLOCK + 2] = 1
    with pytest.raises(BundleError, match="zeros"):
        read(bytes(data), TWO)


@pytest.mark.parametrize(
    ("tail", "said"),
    [(END + b"\0", "follows"), (END * 10, "follows"), (END[:BLOCK], "too early"), (b"x" * 1024, "something else")],
)
def test_nothing_follows_the_two_blocks_of_zeros_that_end_it(tail: bytes, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        read(written(TWO)[: -len(END)] + tail, TWO)


def test_more_members_than_expected_are_refused() -> None:
    with pytest.raises(BundleError, match="more members"):
        read(written([*TWO, ("c", b"")]), TWO)


def test_cut_anywhere_it_is_refused() -> None:
    data = written(TWO)
    for size in range(len(data)):
        with pytest.raises(BundleError, match="too early"):
            read(data[:size], TWO)


def test_with_any_bit_flipped_it_is_refused() -> None:
    data = written(TWO)
    places = [*range(BLOCK + 0, BLOCK + 2), *range(3 * BLOCK, 3 * BLOCK + 700)]  # contents: whoever reads them checks
    for place in sorted({*range(len(data))} - {*places}):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with pytest.raises(BundleError):
                read(bytes(flipped), TWO)


def test_the_size_of_the_whole_file_is_asked_for_where_it_can_be() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    data = written(TWO)
    reader = ArchiveReader(io.BytesIO(data), PATH)
    reader.announced("bundle.json", limit=10)
    reader.require_size(len(data))
    assert b"".join(reader.member("refs/ab.json", 700)) == b"x" * 700
    with pytest.raises(BundleError, match="instead of 3"):
        ArchiveReader(io.BytesIO(data), PATH).require_size(3)
    ArchiveReader(Pipe(data), PATH).require_size(3)


def test_a_file_that_cannot_be_read_is_said_to_be_so() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(BundleError, match="Input/output error"):
        ArchiveReader(Failing(), PATH).announced("bundle.json", limit=10)


@given(data=st.binary(max_size=1200) | st.binary(max_size=600).map(lambda tail: header("bundle.json", 2) + tail))
@settings(deadline=None, max_examples=200)
def test_any_other_bytes_are_a_typed_error(data: bytes) -> None:
    with pytest.raises(BundleError):
        read(data, TWO)
