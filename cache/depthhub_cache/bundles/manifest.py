"""The first member of a bundle: what the others are, in their order, with their sizes and digests. It is sealed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .. import record
from ..identity import ContentHash, Key, is_sha256
from ..sealed import seal, unseal
from .archive import BLOCK, END, SIZE_LIMIT, padded

FILE_NAME = "bundle.json"
WEIGHTS = "weights.safetensors"
"""The only name, and so the only kind, of weights that travel: numbers, and nothing that runs."""

LIMIT = 16 << 20
"""Bytes of a manifest that are read at most."""

_SCHEMA = 1
_REF_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A small file or one of weights: where it is in the archive, its size in bytes, its sha256."""

    name: str
    size: int
    sha256: ContentHash

    @classmethod
    def of(cls, name: str, data: bytes) -> Member:
        return cls(name, len(data), ContentHash(hashlib.sha256(data).hexdigest()))


@dataclass(frozen=True, slots=True)
class PackedEntry:
    """An entry: its record, and behind it its weights."""

    key: Key
    record: Member
    weights: Member


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a bundle holds, and in which order: entries by key, then refs by the sha256 of their names."""

    entries: Sequence[PackedEntry]
    refs: Sequence[Member]

    def members(self) -> Iterator[Member]:
        """Those behind the manifest, one after the other."""
        for entry in self.entries:
            yield from (entry.record, entry.weights)
        yield from self.refs

    def archive_size(self) -> int:
        """Bytes of the whole archive."""
        sizes = [len(self.to_bytes()), *(member.size for member in self.members())]
        return sum(BLOCK + padded(size) for size in sizes) + len(END)

    def to_bytes(self) -> bytes:
        return seal(
            {
                "format": "depthhub bundle",
                "schema": _SCHEMA,
                "entries": [
                    {
                        "key": entry.key,
                        "record": _size_and_digest(entry.record),
                        WEIGHTS: _size_and_digest(entry.weights),
                    }
                    for entry in self.entries
                ],
                "refs": [{"name_sha256": _ref_id(ref), **_size_and_digest(ref)} for ref in self.refs],
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Raises ValueError, saying in words what is wrong, for anything but the bytes of a manifest."""
        facts = unseal(data, limit=LIMIT)
        if facts.get("format") != "depthhub bundle":
            raise ValueError("it is not that of a bundle")
        schema = facts.get("schema")
        if type(schema) is not int or schema != _SCHEMA:
            raise ValueError(f"its schema is not {_SCHEMA}, which this version reads; update depthhub")
        manifest = cls(
            [_entry(item) for item in _items(facts, "entries")],
            [_ref(item) for item in _items(facts, "refs")],
        )
        _require_order("entries", [entry.key for entry in manifest.entries])
        _require_order("refs", [ref.name for ref in manifest.refs])
        if manifest.to_bytes() != data:
            raise ValueError("it holds more than a manifest does")
        return manifest


def record_name(key: Key) -> str:
    return f"entries/{key}/{record.FILE_NAME}"


def weights_name(key: Key) -> str:
    return f"entries/{key}/{WEIGHTS}"


def ref_name(name_sha256: str) -> str:
    return f"refs/{name_sha256}.json"


def _ref_id(ref: Member) -> str:
    return ref.name.removeprefix("refs/").removesuffix(".json")


def _size_and_digest(member: Member) -> dict[str, Any]:
    return {"size": member.size, "sha256": member.sha256}


def _items(facts: Mapping[str, Any], name: str) -> list[Any]:
    items = facts.get(name)
    if not isinstance(items, list):
        raise ValueError(f"its {name} are not a list")  # noqa: TRY004  wrong content, whatever its type
    return items


def _entry(item: Any) -> PackedEntry:
    key = Key(_sha256(item, "key"))
    return PackedEntry(
        key,
        _member(record_name(key), item.get("record"), limit=record.LIMIT),
        _member(weights_name(key), item.get(WEIGHTS), limit=SIZE_LIMIT),
    )


def _ref(item: Any) -> Member:
    return _member(ref_name(_sha256(item, "name_sha256")), item, limit=_REF_LIMIT)


def _member(name: str, item: Any, *, limit: int) -> Member:
    digest = ContentHash(_sha256(item, "sha256"))
    size = item.get("size")
    if type(size) is not int or not 0 <= size <= limit:
        raise ValueError(f"the size of {name} is not a number of bytes up to {limit:,}")
    return Member(name, size, digest)


def _sha256(item: Any, name: str) -> str:
    if not isinstance(item, dict) or not is_sha256(item.get(name)):
        raise ValueError(f"one of its items has no {name}")
    return str(item[name])


def _require_order(what: str, names: Sequence[str]) -> None:
    if any(one >= other for one, other in pairwise(names)):
        raise ValueError(f"its {what} are not in order, each once")
