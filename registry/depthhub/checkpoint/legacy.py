"""torch.save's old format: five pickles, then the numbers of one storage after the other, to the end of the file.

It has no checksums. What it has is accounted for to the byte: torch.load reads the storages that the last pickle lists,
and one that is missing there has whatever numbers the memory held.
"""

from __future__ import annotations

import mmap

from .containers import OpenCheckpoint
from .pickles import LegacyPickles
from .unpickled import unpickle

_COUNT = 8
"""Bytes of the number before a storage's numbers, which says how many they are."""


def read_legacy(opened: OpenCheckpoint, pickles: LegacyPickles) -> object:
    """What torch.save was given. Raises ValueError where the file is not exactly what its pickles say."""
    found, keys = unpickle(pickles.content), unpickle(pickles.keys).value
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(found.claims):
        raise ValueError("its list of storages is not that of its tensors")
    content = memoryview(mmap.mmap(opened.file.fileno(), 0, access=mmap.ACCESS_COPY))
    records, at = {}, pickles.end
    for key in keys:
        claim = found.claims[key]
        if (count := int.from_bytes(content[at : at + _COUNT], "little")) != claim.numel:
            raise ValueError(f"its storage {key} has {count} numbers, and should have {claim.numel}")
        begin, at = at + _COUNT, at + _COUNT + claim.nbytes
        records[key] = content[begin:at]
    if at != len(content):
        raise ValueError(f"its storages end after {at} bytes, and the file after {len(content)}: is it two in one?")
    return found.with_tensors(records)
