"""From a pickle to what was saved in it, without torch's help: tensors are views of records of known size.

`torch.load(weights_only=True)` lets a pickle make storages of its own and change a tensor that is made, and its numbers
are then whatever the memory held. Here a pickle reaches only what `_REACH` holds, none of which it can change, and
says of a tensor where it lies; it is made afterwards, out of a record that has exactly the bytes that were said. So it
does not matter either what the process has told torch (`skip_data`, `set_default_load_endianness`, safe globals).
"""

from __future__ import annotations

import pickle
import reprlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from .pieces import fill


class Claim(NamedTuple):
    """A storage, as a pickle tells of it: the record `key` holds `numel` numbers of `dtype`."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


class _Saved(NamedTuple):
    """A tensor, as a pickle tells of it. offset, shape and stride are in numbers of `dtype`."""

    claim: Claim
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    is_negative: bool


class Unpickled(NamedTuple):
    """What a pickle made, and the storages that its tensors need, by their key."""

    value: object
    claims: dict[str, Claim]

    def with_tensors(self, records: Mapping[str, memoryview]) -> object:
        """What was saved. records: of each claim, by key. Raises ValueError for a tensor that is not all in its record.

        The tensors keep the records' memory alive, and share it where they did when they were saved.
        """
        for key, claim in self.claims.items():
            if (size := records[key].nbytes) != claim.nbytes:
                raise ValueError(f"its record {key} has {size} bytes, and not {claim.numel} numbers of {claim.dtype}")
        return _Completion(records).of(self.value)


def unpickle(content: bytes) -> Unpickled:
    """Run a pickle that was scanned (`pickles.py`). Raises whatever it stumbles over."""
    unpickler = _Unpickler(content)
    return Unpickled(unpickler.load(), unpickler.claims)


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes) -> None:
        super().__init__(BytesIO(content), encoding="utf-8")
        self.claims: dict[str, Claim] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (found := _REACH.get(f"{module}.{name}")) is None:
            raise pickle.UnpicklingError(f"{module}.{name} is out of reach")
        return found

    def persistent_load(self, pid: Any) -> Claim:
        """The storage that is meant: of the dtype that is said, and on the CPU wherever it was."""
        _, kind, key, _, count, *view = pid
        if not (isinstance(kind, _Kind) and type(key) is str and _is_count(count)) or view not in ([], [None]):
            raise ValueError(f"it tells of a storage in a way that is not understood: {reprlib.repr(pid)}")
        claim = Claim(key, kind.dtype, count)
        if self.claims.setdefault(key, claim) != claim:
            raise ValueError(f"it says of its record {key} that it is of {claim.dtype}, and of another kind or size")
        return claim


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _are_counts(values: object) -> bool:
    return isinstance(values, tuple) and all(map(_is_count, values))


class _Kind(NamedTuple):
    """A dtype, or the kind of a storage."""

    dtype: torch.dtype


class _Maker:
    """A function in the reach of a pickle, which may call it and not change it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *args: object) -> object:
        return self._make(*args)  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(name)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it wants to change what makes its tensors")


class _Ordered(dict[Any, Any]):
    """A state dict. What it carries beside its names, the versions of its modules, is not needed."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


def _tensor(
    claim: Claim,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    _requires_grad: object,
    _hooks: object,
    metadata: Mapping[object, object] | None = None,
) -> _Saved:
    return _tensor_of_dtype(claim, offset, shape, stride, None, None, None, metadata)


def _tensor_of_dtype(
    claim: Claim,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    _requires_grad: object,
    _hooks: object,
    kind: _Kind | None,
    metadata: Mapping[object, object] | None = None,
) -> _Saved:
    if not (isinstance(claim, Claim) and _is_count(offset) and _are_counts(shape) and _are_counts(stride)):
        raise ValueError("it tells of a tensor in a way that is not understood")
    told = dict(metadata or {})
    is_negative = told.pop("neg", False)
    if any(told.values()) or len(shape) != len(stride):
        raise ValueError(
            f"it tells of a tensor in a way that is not understood: {reprlib.repr(told)}, {shape}, {stride}"
        )
    return _Saved(claim, claim.dtype if kind is None else kind.dtype, offset, shape, stride, bool(is_negative))


def _parameter(data: object, *_: object) -> object:
    return data


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as pickles of protocol 2 have them."""
    if encoding != "latin1":
        raise ValueError(f"it encodes a text as {reprlib.repr(encoding)}")
    return text.encode("latin1")


def _device(*_: object) -> str:
    """Nobody uses it: all is on the CPU here."""
    return "a device"


_DTYPES = {
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Double": torch.float64,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_ORDERED, _SET = _Maker(_Ordered), _Maker(set)
_REACH: Mapping[str, _Maker | _Kind] = {
    "collections.OrderedDict": _ORDERED,
    "collections.Counter": _ORDERED,
    "builtins.set": _SET,
    "__builtin__.set": _SET,
    "_codecs.encode": _Maker(_encoded),
    "torch._utils._rebuild_tensor_v2": _Maker(_tensor),
    "torch._utils._rebuild_tensor_v3": _Maker(_tensor_of_dtype),
    "torch._utils._rebuild_parameter": _Maker(_parameter),
    "torch.nn.parameter.Parameter": _Maker(_parameter),
    "torch.Size": _Maker(tuple),
    "torch.device": _Maker(_device),
    "torch.storage.UntypedStorage": _Kind(torch.uint8),
    **{f"torch.{name}Storage": _Kind(dtype) for name, dtype in _DTYPES.items()},
    **{str(dtype): _Kind(dtype) for dtype in _DTYPES.values()},
}
"""All that a state dict, and an optimizer's state beside it, need. Everything else is refused (`pickles.py`)."""

IN_REACH = frozenset(_REACH)


class _Completion:
    """Makes the tensors in a tree of plain containers, each once."""

    def __init__(self, records: Mapping[str, memoryview]) -> None:
        self._records = records
        self._numbers: dict[tuple[str, torch.dtype], Tensor] = {}
        self._room = sum(record.nbytes for record in records.values())
        self._made: dict[int, object] = {}
        self._kept: list[object] = []

    def of(self, value: Any) -> Any:
        """Containers that can be changed are changed, and are still the same: one may hold itself."""
        if not isinstance(value, dict | list | tuple):
            return value
        if id(value) not in self._made:
            self._kept.append(value)  # so that no other value gets its id
            self._made[id(value)] = value
            self._made[id(value)] = self._completed(value)
        return self._made[id(value)]

    def _completed(self, value: Any) -> object:
        if isinstance(value, _Saved):
            return self._tensor(value)
        if isinstance(value, Claim | _Kind):
            return value
        if isinstance(value, tuple):
            return tuple(map(self.of, value))
        places: Iterator[Any] = iter(list(value)) if isinstance(value, dict) else iter(range(len(value)))
        for place in places:
            value[place] = self.of(value[place])
        return value

    def _tensor(self, saved: _Saved) -> Tensor:
        numbers = self._numbers_of(saved.claim.key, saved.dtype)
        reach = sum((length - 1) * step for length, step in zip(saved.shape, saved.stride, strict=True))
        if 0 not in saved.shape and saved.offset + reach >= numbers.numel():
            raise ValueError(f"a tensor of {saved.shape} reaches beyond its record {saved.claim.key}")
        if 0 in saved.shape:
            return torch.empty(saved.shape, dtype=saved.dtype, device="cpu")
        view = numbers.as_strided(saved.shape, saved.stride, saved.offset)
        return self._negated(view) if saved.is_negative else view

    def _negated(self, view: Tensor) -> Tensor:
        """A copy. All of them together take no more than the file does: a few numbers can claim to be many."""
        self._room -= view.numel() * view.element_size()
        if self._room < 0:
            raise ValueError("its tensors share memory or repeat themselves, and have to be copied")
        made = torch.empty(view.shape, dtype=view.dtype, device="cpu")
        fill(made, view, Tensor.neg)
        return made

    def _numbers_of(self, key: str, dtype: torch.dtype) -> Tensor:
        """All of a record, as numbers of `dtype`; copied only where they do not lie as processors want them."""
        if (key, dtype) not in self._numbers:
            self._numbers[key, dtype] = numbers_in(self._records[key], dtype)
        return self._numbers[key, dtype]


def numbers_in(content: memoryview, dtype: torch.dtype) -> Tensor:
    """`content` as one row of numbers; a copy only where it does not lie as processors want it."""
    if not content.nbytes:  # of which torch makes no view
        return torch.empty(0, dtype=dtype, device="cpu")
    row = torch.frombuffer(content, dtype=torch.uint8)
    if row.data_ptr() % dtype.itemsize:
        row = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return row.view(dtype)
