"""From an archive to what was saved in it: a pickle, run by torch's unpickler for tensors, over the mapped storages.

What `torch.load(mmap=True)` does, but by the sizes that were checked, and whatever the process has told torch
(`skip_data`, `set_default_load_endianness`, a default device): an entry is shared by all who come later.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import torch
from torch import _weights_only_unpickler  # what torch.load(weights_only=True) runs

from .pickles import Pickle
from .zipped import Zipped


def unpickled(archive: Zipped, pickle: Pickle) -> object:
    """What torch.save was given. Raises whatever the unpickler stumbles over."""
    unpickler = _Unpickler(archive, pickle)
    found: object = unpickler.load()  # type: ignore[no-untyped-call]
    unpickler.require_nothing_grown()
    return found


class _Unpickler(_weights_only_unpickler.Unpickler):
    """One storage for each record, however many tensors share it: a view of the mapped file."""

    def __init__(self, archive: Zipped, pickle: Pickle) -> None:
        super().__init__(BytesIO(pickle.content), encoding="utf-8")
        self._archive = archive
        self._prefix = f"{pickle.folder}/data/"
        self._storages: dict[str, torch.UntypedStorage] = {}

    def persistent_load(self, pid: tuple[Any, ...]) -> torch.TypedStorage:
        """The storage that the pickle means: of the dtype that it says, and on the CPU wherever it was."""
        _, kind, key, _, count = pid
        dtype = torch.uint8 if kind is torch.UntypedStorage else kind.dtype
        if key not in self._storages:
            self._storages[key] = self._record(key)
        storage = self._storages[key]
        if storage.nbytes() != count * dtype.itemsize:
            raise ValueError(f"its record {key} has {storage.nbytes()} bytes, and not {count} numbers of {dtype}")
        return torch.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)  # type: ignore[no-untyped-call]

    def require_nothing_grown(self) -> None:
        """A tensor that was saved when its numbers were freed has a shape and an empty record. torch makes room for it,
        and what the memory holds there would be its numbers.
        """
        for key, storage in self._storages.items():
            size = self._archive.members[f"{self._prefix}{key}"].size
            if storage.nbytes() != size:
                raise ValueError(f"its record {key} has {size} bytes, and a tensor of it {storage.nbytes()}")

    def _record(self, key: str) -> torch.UntypedStorage:
        member = self._archive.members.get(f"{self._prefix}{key}")
        if member is None:
            raise ValueError(f"it has no record {key}")
        if member.size == 0:  # of which torch makes no view
            return torch.UntypedStorage(0, device="cpu")  # type: ignore[no-untyped-call]
        return torch.frombuffer(self._archive.bytes_of(member), dtype=torch.uint8).untyped_storage()
