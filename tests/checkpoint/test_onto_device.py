"""Onto a device piece by piece, with stand-ins for devices that this machine lacks.

The stand-in for CUDA copies as late as a device may: not when a copy is begun, but when somebody waits for it. Whoever
reads into a buffer too early, or takes a tensor too early, gets wrong numbers here, every time.
"""

from __future__ import annotations

import gc
import itertools
import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from depthhub.checkpoint import onto_device as module
from depthhub.checkpoint.convert import convert
from depthhub.checkpoint.converted import Place, read_converted, write_converted
from depthhub.checkpoint.onto_device import Carrier, Cuda, Part, Plain, carrier_of, onto_device
from depthhub.checkpoint.reading import Checkpoint
from depthhub.checkpoint.recipe import Recipe
from depthhub.errors import CheckpointError, OptionError
from depthhub.model.config import Build
from depthhub.testing.shapes import Size, original_shapes
from depthhub_cache.identity import ContentHash

from .states import read, state_dict

HASH = ContentHash("0123456789abcdef" * 4)
CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Stream:
    """What was begun and is not done. It is done, in order, when somebody waits for it."""

    def __init__(self) -> None:
        self._begun: list[tuple[Tensor, Tensor]] = []
        self._count, self._lock = 0, threading.Lock()

    def begin(self, target: Tensor, source: Tensor) -> None:
        with self._lock:
            self._begun.append((target, source))
            self._count += 1

    def mark(self) -> int:
        return self._count

    def finish(self, mark: int) -> None:
        with self._lock:
            while self._begun and self._count - len(self._begun) < mark:
                target, source = self._begun.pop(0)
                Tensor.copy_(target, source)


STREAM = Stream()


class Event:
    """Plays torch.cuda.Event."""

    def __init__(self, *, blocking: bool) -> None:
        assert blocking

    def record(self) -> None:
        self._mark = STREAM.mark()

    def synchronize(self) -> None:
        STREAM.finish(self._mark)


class OnDevice(Tensor):
    """Plays a tensor on the device; so do its views."""

    def copy_(self, source: Tensor, non_blocking: bool = False) -> OnDevice:  # type: ignore[override]
        assert non_blocking
        STREAM.begin(self, source)
        return self


class StandIn(Cuda):
    """A device of `memory` bytes that fails at its `fails_at`-th piece, and knows what of it is still held."""

    def __init__(self, *, threads: int = 4, memory: float = float("inf"), fails_at: int = -1) -> None:
        self.device, self.threads = CPU, threads
        self._memory, self._fails_at, self._within = memory, fails_at, threading.local()
        self.carried = 0
        self.rooms: list[weakref.ref[Any]] = []
        self.staged: list[int] = []
        self.at_work: set[threading.Thread] = set()

    @contextmanager
    def in_order(self) -> Iterator[None]:
        self.at_work.add(threading.current_thread())
        self._within.stream = True
        yield
        self._within.stream = False

    def staging(self, size: int) -> Tensor:
        self.staged.append(size)
        return torch.full((size,), 255, dtype=torch.uint8)

    def room(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        assert self._within.stream, "memory belongs to the stream that it was asked for on"
        tensor = torch.full(tuple(shape), 77, dtype=dtype).as_subclass(OnDevice)
        self._memory -= tensor.nbytes
        if self._memory < 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\nmore words")
        self.rooms.append(weakref.ref(tensor.untyped_storage()))
        return tensor

    def carry(self, parts: Sequence[Part]) -> None:
        assert self._within.stream
        self.carried += 1
        if self.carried == self._fails_at:
            raise RuntimeError("CUDA error: the launch timed out")
        super().carry(parts)

    def held(self) -> int:
        return sum(room() is not None for room in self.rooms)


@pytest.fixture(autouse=True)
def late_copies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.node.name.startswith("test_on_a_gpu"):
        monkeypatch.setattr("torch.cuda.Event", Event)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that large tensors are cut, small ones share a piece, and pieces begin and end within tensors."""
    monkeypatch.setattr(module, "PIECE", 50_000)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    return _written(tmp_path_factory.mktemp("converted") / "out.safetensors", read(tiny))


@pytest.fixture
def seen_as(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every device is what is given."""
    return lambda carrier: monkeypatch.setattr(module, "carrier_of", lambda device: carrier)


def _written(path: Path, checkpoint: Checkpoint) -> Path:
    with path.open("wb") as file:
        write_converted(file.write, convert(checkpoint, Recipe(Build("v2"))), content_hash=HASH)
    return path


def _same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    assert list(found) == list(expected)
    return all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in expected.items()
    )


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_number_arrives_and_nothing_that_no_model_reads(converted: Path, seen_as: Any, threads: int) -> None:
    device = StandIn(threads=threads)
    seen_as(device)
    found, header = read_converted(converted, device="cuda")
    expected, expected_header = read_converted(converted)
    assert _same(found, expected)
    assert header == expected_header
    assert device.held() == len(expected), "each has memory of its own"
    assert device.staged == [module.PIECE] * threads, "all of the host's memory that it takes"


@pytest.mark.parametrize("piece", [64, 1000, 4096, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_odd_sizes_and_any_size_of_a_piece(
    tmp_path: Path, seen_as: Any, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, piece: int
) -> None:
    monkeypatch.setattr(module, "PIECE", piece)
    size = Size(width=64, blocks=4, reassembly_channels=(3, 5, 7, 9), fusion_channels=10, base_grid=3, head_channels=11)
    state = state_dict(original_shapes(size), dtype)
    path = _written(tmp_path / "odd.safetensors", Checkpoint(Path("some.pth"), "original", state, ()))
    seen_as(StandIn())
    assert _same(read_converted(path, device="cuda")[0], read_converted(path)[0])


def test_tensors_that_begin_anywhere_and_hold_nothing_or_one_number(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(bytes(range(40)))
    places = [
        Place("half", torch.float16, [3], 1, 7),
        Place("far", torch.int32, [], 30, 34),
        Place("nothing", torch.float32, [0, 4], 7, 7),
        Place("next", torch.int64, [2], 7, 23),
    ]
    with path.open("rb", buffering=0) as file:
        found = onto_device(file, places, StandIn(threads=2))
    assert list(found) == ["half", "far", "nothing", "next"], "in the order of the file's header"
    assert [tuple(tensor.shape) for tensor in found.values()] == [(3,), (), (0, 4), (2,)]
    for place in places:
        raw = bytes(found[place.name].reshape(-1).view(torch.uint8).tolist()) if place.end > place.begin else b""
        assert raw == bytes(range(place.begin, place.end))


def test_a_device_without_streams_gets_the_same_from_one_buffer(converted: Path, seen_as: Any) -> None:
    assert isinstance(carrier_of("mps"), Plain)
    assert Plain(CPU).threads == 1
    seen_as(Plain(CPU))
    assert _same(read_converted(converted, device="mps")[0], read_converted(converted)[0])


@pytest.mark.parametrize("granted", [0, 1, 3])
def test_with_fewer_threads_than_wished_for_every_number_arrives(
    converted: Path, seen_as: Any, monkeypatch: pytest.MonkeyPatch, granted: int
) -> None:
    start, begun = threading.Thread.start, itertools.count()

    def refuse(thread: threading.Thread) -> None:
        if next(begun) >= granted:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    device = StandIn(threads=4)
    seen_as(device)
    assert _same(read_converted(converted, device="cuda")[0], read_converted(converted)[0])
    assert len(device.at_work) == max(granted, 1), "where there is none, the one that asks does it"


@pytest.mark.parametrize("memory", [0, 100_000, 1_000_000])
def test_a_device_without_room_is_a_clear_error_that_keeps_nothing(converted: Path, seen_as: Any, memory: int) -> None:
    device = StandIn(memory=memory)
    seen_as(device)
    gc.disable()  # as during a load
    try:
        with pytest.raises(OptionError, match=r"did not take the .* MB of weights: CUDA out of memory") as raised:
            read_converted(converted, device="cuda")
        assert device.held() == 0, "while the error is still looked at"
    finally:
        gc.enable()
    assert (raised.value.option, raised.value.value) == ("device", "cpu")
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)
    assert "\n" not in str(raised.value)
    assert not any(thread.is_alive() for thread in device.at_work)


@pytest.mark.parametrize("fails_at", [1, 7])
def test_a_copy_that_fails_is_the_devices_fault_and_not_the_files(converted: Path, seen_as: Any, fails_at: int) -> None:
    device = StandIn(fails_at=fails_at)
    seen_as(device)
    with pytest.raises(OptionError, match="the launch timed out"):
        read_converted(converted, device="cuda")
    assert device.held() == 0


def test_an_interruption_ends_all_threads_soon_and_keeps_nothing(
    converted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes to the thread that waits, while the others copy."""
    device = StandIn(threads=3)
    copied, interrupted = threading.Event(), threading.Event()
    carry = device.carry

    def held_up(parts: Sequence[Part]) -> None:
        carry(parts)
        copied.set()
        interrupted.wait(30)

    class Interrupted(module.ThreadPoolExecutor):
        def submit(self, *args: Any, **options: Any) -> Any:
            future = super().submit(*args, **options)

            def result(timeout: float | None = None) -> None:
                assert copied.wait(30)
                threading.Timer(0.05, interrupted.set).start()
                raise KeyboardInterrupt

            future.result = result  # type: ignore[method-assign]
            return future

    monkeypatch.setattr(device, "carry", held_up)
    monkeypatch.setattr(module, "ThreadPoolExecutor", Interrupted)
    monkeypatch.setattr(module, "carrier_of", lambda _: device)
    with pytest.raises(KeyboardInterrupt):
        read_converted(converted, device="cuda")
    assert device.held() == 0
    assert device.carried <= 3, "one piece a thread, not the whole file"
    assert not any(thread.is_alive() for thread in device.at_work)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("it ends")])
def test_a_file_that_fails_is_no_fault_of_the_device(
    converted: Path, seen_as: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    device = StandIn()
    seen_as(device)

    def read(at: int, into: memoryview) -> None:
        if at > 200_000:
            raise error

    monkeypatch.setattr(module, "_reader", lambda _: read)
    with pytest.raises(CheckpointError, match="cannot be read as a converted file") as raised:
        read_converted(converted, device="cuda")
    assert raised.value.__cause__ is error
    assert device.held() == 0


@pytest.mark.parametrize("kept", [0, 5, 8, 100, -1])
def test_a_file_that_was_cut_short_is_an_error_before_anything_is_copied(
    converted: Path, tmp_path: Path, seen_as: Any, kept: int
) -> None:
    device = StandIn()
    seen_as(device)
    path = tmp_path / "short.safetensors"
    path.write_bytes(converted.read_bytes()[:kept])
    with pytest.raises(CheckpointError):
        read_converted(path, device="cuda")
    assert not device.staged


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(bytes(100))
    with path.open("rb", buffering=0) as file, pytest.raises(ValueError, match="ends after 100 bytes"):
        onto_device(file, [Place("a", torch.uint8, [200], 0, 200)], StandIn(threads=1))


@pytest.mark.parametrize("change", [{"shape": [1 << 40]}, {"data_offsets": [0, 1 << 50], "shape": [1 << 48]}])
def test_a_header_that_lies_is_an_error_and_never_a_large_allocation(
    converted: Path, tmp_path: Path, seen_as: Any, change: dict[str, Any]
) -> None:
    data = converted.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["imgencoder.cls_token"] |= change
    encoded = json.dumps(header).encode()
    path = tmp_path / "lying.safetensors"
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data[8 + length :])
    device = StandIn()
    seen_as(device)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_converted(path, device="cuda")
    assert not device.staged


def test_where_a_file_cannot_be_read_at_two_places_at_once_threads_take_turns(
    converted: Path, seen_as: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.preadv", raising=False)
    seen_as(StandIn())
    assert _same(read_converted(converted, device="cuda")[0], read_converted(converted)[0])


def test_all_threads_work_on_the_stream_and_device_that_the_caller_has_current(monkeypatch: pytest.MonkeyPatch) -> None:
    class Current:
        device = torch.device("cuda:3")

    stream = Current()
    monkeypatch.setattr("torch.cuda.current_stream", lambda device: stream)
    monkeypatch.setattr("torch.cuda.stream", lambda given: ("within", given))
    carrier: Carrier = carrier_of("cuda")
    assert isinstance(carrier, Cuda)
    assert carrier.device == torch.device("cuda:3")
    assert carrier.in_order() == ("within", stream)


def test_the_cpu_never_imports_any_of_this(converted: Path) -> None:
    code = """
import sys
from pathlib import Path
from depthhub.checkpoint.converted import read_converted
read_converted(Path(sys.argv[1]))
print("depthhub.checkpoint.onto_device" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code, str(converted)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@needs_gpu
def test_on_a_gpu_every_number_arrives(converted: Path) -> None:
    with torch.cuda.stream(torch.cuda.Stream()):
        found, _ = read_converted(converted, device="cuda")
    expected, _ = read_converted(converted)
    assert {tensor.device.type for tensor in found.values()} == {"cuda"}
    assert _same({name: tensor.cpu() for name, tensor in found.items()}, expected)


@needs_gpu
def test_on_a_gpu_without_room_nothing_is_kept(converted: Path) -> None:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (2 << 20)) / total)
    try:
        with pytest.raises(OptionError, match="out of memory"):
            read_converted(converted, device="cuda")
        assert torch.cuda.memory_allocated() == before
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
