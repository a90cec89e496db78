"""Bundles as bytes: made, taken apart, damaged and put together again."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from depthhub_cache.bundles.archive import ArchiveWriter
from depthhub_cache.bundles.manifest import FILE_NAME
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import ImportReport, import_bundle
from depthhub_cache.sealed import seal, unseal
from depthhub_cache.store import Store

from ..samples import files_under, hash_of, key_of, publish

Members = dict[str, bytes]
PATH = Path("models.tar")
REF, ANSWER = "hub:model/me/forest/@main", {"content_hash": "0" * 64, "commit": "1" * 40}
NAMES = ("vits", "vitl")
FIRST, SECOND = sorted(map(key_of, NAMES))


def fill(store: Store) -> None:
    for name in NAMES:
        publish(store, name)
    store.remember(REF, ANSWER)


def packed(store: Store, *names: str) -> bytes:
    out = io.BytesIO()
    keys = [key_of(name) for name in names] or store.keys()
    summary = export_bundle(store, keys, dict(store.refs()), out.write)
    assert summary.size == len(out.getvalue())
    return out.getvalue()


def unpacked(store: Store, data: bytes, **options: Any) -> ImportReport:
    return import_bundle(store, io.BytesIO(data), PATH, **options)


def states(report: ImportReport) -> list[str]:
    return [made.state for made in report.entries]


def members_of(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


def archive_of(members: Members | list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = ArchiveWriter(out.write)
    for name, data in members.items() if isinstance(members, dict) else members:
        writer.add(name, len(data), [data])
    writer.end()
    return out.getvalue()


def forged(members: Members) -> Members:
    """`members` with a manifest that fits them: sizes and digests are those of what is there now."""
    facts = unseal(members[FILE_NAME], limit=1 << 20)
    for entry in facts["entries"]:
        for what, file in (("record", "entry.json"), ("weights.safetensors", "weights.safetensors")):
            data = members[f"entries/{entry['key']}/{file}"]
            entry[what] = {"size": len(data), "sha256": hash_of(data)}
    for ref in facts["refs"]:
        data = members[f"refs/{ref['name_sha256']}.json"]
        ref.update(size=len(data), sha256=hash_of(data))
    return {**members, FILE_NAME: seal(facts)}


def sealed_again(text: bytes) -> bytes:
    """`text` with the digest that it has now."""
    body, mark, _ = text.rpartition(b'"sha256": "')
    return body + mark + hash_of(body + mark).encode() + b'"\n}\n'


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


def assert_clean(store: Store, *, holds: list[str] | None = None) -> None:
    """Every entry is whole to the last byte; nothing half-made is anywhere. holds: its keys, if they are known."""
    keys = list(store.keys())
    assert holds is None or keys == holds
    for key in keys:
        store.verify(key, deep=True)
    assert files_under(store.root / "v1" / "tmp") == {}
    assert not (store.root / "v1" / "quarantine").exists()
