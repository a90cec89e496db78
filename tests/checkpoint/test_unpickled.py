"""Tensors are the numbers of their own record, whatever torch was told elsewhere in the process."""

from __future__ import annotations

import collections
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.serialization import LoadEndianness, set_default_load_endianness

from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.checkpoint.pickles import safe_legacy_pickles_in, safe_pickle_in
from depthhub.checkpoint.reading import saved_in
from depthhub.checkpoint.zipped import Zipped
from depthhub.errors import CheckpointError
from depthhub.testing import make_checkpoint

from .states import read, same_bits


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
    with pytest.raises(CheckpointError, match=r"reaches beyond its record 117"):
        read(path)


def test_a_record_that_is_shorter_than_said_does_not_go_on_in_the_next_one(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    """What lies beside the weights makes up for the size."""
    torch.save({"model": state, "optimizer": {"state": torch.zeros(200_000)}}, tmp_path / "training.pth")
    path = rewritten(tmp_path / "training.pth", tmp_path / "short.pth", halved="/data/3")
    with pytest.raises(CheckpointError, match=r"its record 3 has \d+ bytes, and not \d+ numbers of torch.float32"):
        read(path)


def test_a_record_that_is_not_there_is_named(tmp_path: Path, tiny: Path) -> None:
    path = rewritten(tiny, tmp_path / "weights.pth", without="/data/3")
    with pytest.raises(CheckpointError, match="it has no record 3"):
        read(path)


def test_tensors_that_shared_memory_share_it_still_and_empty_ones_are_empty(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    both = torch.arange(6.0).view(2, 3)
    torch.save({**state, "x.whole": both, "x.turned": both.t(), "x.none": torch.ones(0, 3)}, tmp_path / "weights.pth")
    with zipfile.ZipFile(tmp_path / "weights.pth") as archive:
        assert archive.getinfo(f"weights/data/{len(state) + 1}").file_size == 0, "the case that is tested"
    with OpenCheckpoint(tmp_path / "weights.pth") as opened:
        archive = Zipped.of(opened)
        found = saved_in(archive, safe_pickle_in(archive))
    assert isinstance(found, dict)
    assert same_bits(found["x.turned"], both.t())
    assert found["x.whole"].untyped_storage().data_ptr() == found["x.turned"].untyped_storage().data_ptr()
    assert found["x.none"].shape == (0, 3)


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
    expected = read(tiny).tensors
    with told():
        tensors = read(path).tensors
    assert all(same_bits(tensors[key], expected[key]) for key in expected)


@pytest.mark.parametrize(("count", "shape"), [(1, (10**13,)), (1000, (2,))], ids=["one", "many"])
def test_tensors_that_have_to_be_copied_take_no_more_than_the_file(
    tmp_path: Path, count: int, shape: tuple[int, ...]
) -> None:
    """Of the numbers with another sign, none of which is in the file, torch saves a note."""
    one = torch.ones(2)
    lazy = [one.as_strided(shape, (0,))._neg_view() for _ in range(count)]
    torch.save({"model": {"a.b": one}, "more": lazy}, tmp_path / "lazy.pth")
    with pytest.raises(CheckpointError, match="share memory or repeat themselves"):
        read(tmp_path / "lazy.pth")


@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
def test_descriptions_of_tensors_are_not_taken_for_numbers(tmp_path: Path, container: str) -> None:
    path = make_checkpoint(tmp_path / "weights", container=container)  # type: ignore[arg-type]
    with FakeTensorMode(), pytest.raises(CheckpointError, match=r"of every tensor \(FakeTensor\)"):
        read(path)


@pytest.mark.parametrize("container", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "transform",
    [torch.func.grad, torch.func.functionalize, lambda loading: lambda x: torch.func.jvp(loading, (x,), (x,))],
    ids=["grad", "functionalize", "jvp"],
)
def test_within_a_transform_of_torch_nothing_is_read(
    tmp_path: Path, container: str, transform: Callable[..., Callable[[Tensor], object]]
) -> None:
    path = make_checkpoint(tmp_path / "weights", container=container)  # type: ignore[arg-type]

    def loading(x: Tensor) -> Tensor:
        with pytest.raises(CheckpointError, match=r"outside of that \(.*torch\.func\)"):
            read(path)
        return x.sum()

    transform(loading)(torch.ones(2))


class Pickled:
    """What a pickle does, step by step: a program that torch's own unpickler runs too."""

    def __init__(self) -> None:
        self.text = b"\x80\x02"

    def call(self, name: str, *arguments: bytes) -> bytes:
        return self.named(name) + b"(" + b"".join(arguments) + b"tR"

    @staticmethod
    def named(name: str) -> bytes:
        module, _, attribute = name.rpartition(".")
        return f"c{module}\n{attribute}\n".encode()

    @staticmethod
    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    @staticmethod
    def word(text: str) -> bytes:
        return b"X" + struct.pack("<I", len(text)) + text.encode()

    def row(self, *numbers: int) -> bytes:
        return b"(" + b"".join(map(self.number, numbers)) + b"t"

    def storage(self, key: str, numel: int) -> bytes:
        words = (self.word("storage"), self.named("torch.FloatStorage"), self.word(key), self.word("cpu"))
        return b"(" + b"".join(words) + self.number(numel) + b"tQ"

    def tensor(self, key: str, numel: int) -> bytes:
        return self.call(
            "torch._utils._rebuild_tensor_v2",
            *(self.storage(key, numel), self.number(0), self.row(numel), self.row(1), b"\x89"),
            self.call("collections.OrderedDict"),
        )


p = Pickled()
NEW_STORAGE = p.call("torch.storage.UntypedStorage", p.number(40))
HOSTILE = {
    "a storage of its own": p.call("torch._utils._rebuild_tensor_v2", NEW_STORAGE, p.number(0), p.row(10), p.row(1)),
    "another storage for a tensor": p.tensor("0", 10) + b"(" + NEW_STORAGE + p.number(0) + p.row(10) + p.row(1) + b"tb",
    "a state for a tensor": p.tensor("0", 10) + b"}" + p.word("offset") + p.number(3) + b"sb",
    "a parameter without numbers": p.named("torch.nn.parameter.Parameter") + b")\x81",
    "other makers": p.named("torch._utils._rebuild_tensor_v2") + b"N}" + p.word("_make") + b"Nsb",
    "other classes": p.named("collections.Counter") + b"N}" + p.word("update") + b"Ns\x86b",
    "one record of two kinds": b"(" + p.tensor("0", 10) + p.tensor("0", 5) + b"t",
    "a storage that is none": p.call(
        "torch._utils._rebuild_tensor_v2", *(p.number(7), p.number(0)), p.row(1), p.row(1)
    ),
    "a persistent thing that is none": b"(" + p.word("module") + p.number(1) + p.number(2) + p.number(3) + b"NtQ",
    "a text that runs": p.call("_codecs.encode", p.word("x"), p.word("rot13")),
    "room for a billion": b"Nr\x00\x00\x00\x40",
}


def hostile(path: Path, program: bytes, *, legacy: bool) -> Path:
    names = p.word("pretrained.blocks.0.norm1.weight") + p.tensor("0", 10) + p.word("depth_head.projects.0.bias")
    pickled = b"\x80\x02}(" + names + p.tensor("1", 10) + p.word("more") + program + b"u."
    record = struct.pack("<q", 10) + bytes(range(1, 41))
    if legacy:
        words = [pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {})]
        path.write_bytes(b"".join([*words, pickled, pickle.dumps(["0", "1"], protocol=2), record, record]))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/data/0", record[8:])
        archive.writestr("x/data/1", record[8:])
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_the_hostile_files_are_sound_but_for_their_program(tmp_path: Path, legacy: bool) -> None:
    found = read(hostile(tmp_path / "x.pth", b"N", legacy=legacy))
    assert [tensor.view(torch.uint8).tolist() for tensor in found.tensors.values()] == [list(range(1, 41))] * 2


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE)
def test_a_pickle_makes_no_memory_and_changes_nothing_that_is_made(
    tmp_path: Path, program: bytes, legacy: bool
) -> None:
    """torch's unpickler gives it storages that nobody fills, and lets it put them into tensors."""
    update = collections.Counter.update
    with pytest.raises(CheckpointError, match=r"damaged"):
        read(hostile(tmp_path / "x.pth", program, legacy=legacy))
    assert collections.Counter.update is update
    assert len(read(hostile(tmp_path / "sound.pth", b"N", legacy=legacy)).tensors) == 2, "nothing is changed for others"


def test_what_a_state_dict_carries_beside_its_names_is_let_be(tmp_path: Path, state: dict[str, Tensor]) -> None:
    ordered = collections.OrderedDict(state)
    ordered._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    others = {"seen": {1, 2}, "counted": collections.Counter("aab"), "raw": b"\xff", "size": torch.ones(2).shape}
    torch.save({"model": ordered, **others, "where": torch.device("cpu"), "dtype": torch.float16}, tmp_path / "x.pth")
    assert all(same_bits(tensor, state[key]) for key, tensor in read(tmp_path / "x.pth").tensors.items())


def test_a_container_that_holds_itself_is_no_riddle(tmp_path: Path, state: dict[str, Tensor]) -> None:
    saved: dict[str, object] = {"model": state}
    saved["self"], saved["both"] = saved, (state, [state])
    torch.save(saved, tmp_path / "x.pth")
    assert len(read(tmp_path / "x.pth").tensors) == len(state)


def legacy_file(path: Path, state: dict[str, Tensor], change: Callable[[list[str], list[bytes]], object]) -> Path:
    """A file of the old format, whose list of storages, and storages, were changed."""
    torch.save(state, path, _use_new_zipfile_serialization=False)
    with OpenCheckpoint(path) as opened:
        pickles = safe_legacy_pickles_in(opened)
    data, keys = path.read_bytes(), pickle.loads(pickles.keys)
    records, at = [], pickles.end
    for _ in keys:
        size = 8 + 4 * int.from_bytes(data[at : at + 8], "little")
        records.append(data[at : at + size])
        at += size
    change(keys, records)
    head = data[: pickles.end - len(pickles.keys)]
    path.write_bytes(head + pickle.dumps(keys, protocol=2) + b"".join(records))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda keys, records: keys.pop(),
        lambda keys, records: (keys.pop(), records.pop()),
        lambda keys, records: keys.append(keys[0]),
        lambda keys, records: keys.__setitem__(3, keys[4]),
        lambda keys, records: records.__setitem__(3, struct.pack("<q", 1) + records[3][8:]),
        lambda keys, records: records.__setitem__(3, struct.pack("<q", 0)),
        lambda keys, records: records.append(b"another file"),
        lambda keys, records: records.pop(),
    ],
    ids=["unlisted", "lost", "twice", "another", "shorter", "empty", "joined", "cut"],
)
def test_in_the_old_format_every_storage_is_listed_once_and_every_byte_is_a_storages(
    tmp_path: Path, state: dict[str, Tensor], change: Callable[[list[str], list[bytes]], object]
) -> None:
    """torch.load leaves a storage that is not listed as the memory was."""
    own = {key: tensor.clone() for key, tensor in state.items()}
    assert len(read(legacy_file(tmp_path / "sound.pth", own, lambda keys, records: None)).tensors) == len(own)
    with pytest.raises(CheckpointError, match="storage"):
        read(legacy_file(tmp_path / "x.pth", own, change))


@pytest.mark.parametrize("where", ["a storage", "a tensor", "a device"])
def test_a_value_that_is_shared_without_end_is_not_written_out(tmp_path: Path, where: str) -> None:
    shared = b")q\x00" + b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(60))
    last = b"h\x3c"
    program = {
        "a storage": b"(" + last * 5 + b"tQ",
        "a tensor": p.call("torch._utils._rebuild_tensor_v2", p.storage("0", 10), last, last, last),
        "a device": p.call("torch.device", last),
    }[where]
    path = hostile(tmp_path / "x.pth", b"(" + shared + program + b"t", legacy=False)
    with suppress(CheckpointError):
        read(path)
