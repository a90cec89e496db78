"""From a file onto a device that is not the CPU: by way of a few small buffers, never as a whole in host memory.

A few threads read pieces of the file, each into a buffer of its own, while the device fetches what others have read.
Reading beats copying from a map here: it faults no pages in, and a small buffer stays in the processor's cache.
Every tensor has device memory of its own, so that one can be freed or saved without the others.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from io import FileIO
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import OptionError

if TYPE_CHECKING:
    from .converted import Place

PIECE = 4 << 20
"""Bytes that are read and copied at a time, at most. All buffers together should fit into a processor's last cache."""

Part = tuple[Tensor, Tensor]
"""Where numbers go on the device, and where they are in a buffer."""

Read = Callable[[int, memoryview], None]
"""Fills memory with what the file has from a byte on."""


class Carrier(Protocol):
    """All that a load wants of a device. Several threads use it at a time."""

    device: torch.device
    threads: int

    def in_order(self) -> AbstractContextManager[object]:
        """What a thread begins within it, the device does after what was begun before, by any of the threads."""

    def staging(self, size: int) -> Tensor:
        """Host memory of `size` bytes that copies begin in."""

    def room(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor on the device; what is in it does not matter."""

    def carry(self, parts: Sequence[Part]) -> None:
        """Copy all parts. On return the device needs their buffer no more."""


class Cuda:
    """Pinned buffers, and copies that are begun together and waited for once.

    All of it on the stream that the caller has current: memory that the allocator gives to a stream may still be read
    by what was begun there earlier, and what fails half-way frees its memory only in that same order.
    """

    threads = 4

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.current_stream(device)
        self.device = self._stream.device  # with its number: what is current differs from thread to thread

    def in_order(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream)

    def staging(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8, device="cpu", pin_memory=True)

    def room(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.device)

    def carry(self, parts: Sequence[Part]) -> None:
        for target, source in parts:
            target.copy_(source, non_blocking=True)
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # spinning would take readers their core
        done.record()
        done.synchronize()


class Plain:
    """Any other device, such as mps: one buffer, and copies that return when they are done."""

    threads = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def in_order(self) -> AbstractContextManager[object]:
        return nullcontext()

    def staging(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8, device="cpu")

    def room(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.device)

    def carry(self, parts: Sequence[Part]) -> None:
        for target, source in parts:
            target.copy_(source)


def carrier_of(device: torch.device | str) -> Carrier:
    device = torch.device(device)
    return Cuda(device) if device.type == "cuda" else Plain(device)


def onto_device(file: FileIO, places: Iterable[Place], carrier: Carrier) -> dict[str, Tensor]:
    """The tensors of `file` that lie at `places`, by name, on the carrier's device, ready on every stream.

    Raises OptionError where the device does not take them, OSError or ValueError where the file does not give them.
    Whatever ends it early, nothing is kept on the device.
    """
    places, tensors = list(places), dict[str, Tensor]()
    pieces = _Shared(_pieces(places, tensors, carrier))
    try:
        failure = _failure_of_all(_reader(file), pieces, carrier)
    except BaseException:
        tensors.clear()
        raise
    if failure is None:
        return {place.name: tensors[place.name] for place in places}
    tensors.clear()
    if isinstance(failure, (RuntimeError, TypeError)):  # torch's; the two that a file gives are others
        raise _refused(carrier.device, places, failure) from failure
    raise failure


class _Piece(NamedTuple):
    """Bytes of the file without a gap. parts: where their numbers go, and where these begin and end in it."""

    begin: int
    size: int
    parts: list[tuple[Tensor, int, int]]


def _pieces(places: Sequence[Place], tensors: dict[str, Tensor], carrier: Carrier) -> Generator[_Piece, None, None]:
    """All of `places`, in the order of the file. A tensor gets its room, in `tensors`, when its turn comes."""
    begin, size, parts = 0, 0, list[tuple[Tensor, int, int]]()
    for place in sorted(places, key=lambda place: place.begin):
        tensor = tensors[place.name] = carrier.room(place.shape, place.dtype)
        flat, width, at = tensor.view(-1), place.dtype.itemsize, place.begin
        while at < place.end:
            count = min(place.end - at, PIECE - size) // width
            if not count or at != begin + size or size % width:
                if parts:
                    yield _Piece(begin, size, parts)
                begin, size, parts = at, 0, []
                continue
            first = (at - place.begin) // width
            parts.append((flat[first : first + count], size, size + count * width))
            at, size = at + count * width, size + count * width
    if parts:
        yield _Piece(begin, size, parts)


class _Shared:
    """Pieces that several threads take, each piece once, until one of them says stop."""

    def __init__(self, pieces: Generator[_Piece, None, None]) -> None:
        self._pieces, self._lock = pieces, threading.Lock()

    def take(self) -> _Piece | None:
        with self._lock:
            return next(self._pieces, None)

    def stop(self) -> None:
        with self._lock:
            self._pieces.close()


def _failure_of_all(read: Read, pieces: _Shared, carrier: Carrier) -> Exception | None:
    """Carry all pieces. Whatever happens, no thread is left when this ends."""
    with ThreadPoolExecutor(carrier.threads) as pool:
        working: list[Future[Exception | None]] = []
        try:
            with suppress(RuntimeError):  # a process that is ending, or at its limit, gets no more threads
                for _ in range(carrier.threads):
                    working.append(pool.submit(_work, read, pieces, carrier))
            failures = [one.result() for one in working] or [_work(read, pieces, carrier)]
        finally:
            pieces.stop()  # else an interruption would wait for the whole file
    return next((failure for failure in failures if failure is not None), None)


def _work(read: Read, pieces: _Shared, carrier: Carrier) -> Exception | None:
    """What one thread does: read a piece, have it carried, take the next. Gives what failed, less its frames: they
    would keep device memory for as long as somebody looks at the error.
    """
    try:
        with carrier.in_order():
            buffer = carrier.staging(PIECE)
            raw = memoryview((ctypes.c_char * PIECE).from_address(buffer.data_ptr())).cast("B")
            while piece := pieces.take():
                read(piece.begin, raw[: piece.size])
                carrier.carry([(to, buffer[begin:end].view(to.dtype)) for to, begin, end in piece.parts])
    except Exception as error:  # noqa: BLE001  handed on, and raised by the thread that asked
        pieces.stop()
        return error.with_traceback(None)
    return None


def _reader(file: FileIO) -> Read:
    """Reads at a place of the file, in several threads at a time where the system can. Raises OSError, ValueError."""
    turn = threading.Lock()

    def read_once(at: int, into: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(file.fileno(), [into], at)
        with turn:
            file.seek(at)
            return file.readinto(into)

    def read(at: int, into: memoryview) -> None:
        filled = 0
        while filled < len(into):
            count = read_once(at + filled, into[filled:])
            if not count:
                raise ValueError(f"it ends after {at + filled:,} bytes, and should have {at + len(into):,} at least")
            filled += count

    return read


def _refused(device: torch.device, places: Sequence[Place], error: Exception) -> OptionError:
    size, reason = sum(place.end - place.begin for place in places), str(error).partition("\n")[0]
    return OptionError(
        f"device {str(device)!r} did not take the {size / 1e6:,.0f} MB of weights: {reason.rstrip('.')}. "
        "Free memory on it, or choose another device.",
        option="device",
        value=str(device),
    )
