"""The remotes of the tests: a folder, and a bucket. Behind the library's back they can be looked into, and spoiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from depthhub_cache.record import Record
from depthhub_cache.remote import RemoteStore
from depthhub_cache.store import Entry, Store

LARGE = 36_000_000
"""Bytes of weights that are sent in more pieces than are read ahead: what happens at the first meets the last."""

LIMITS = {"connect_timeout": 10.0, "stall_timeout": 6.0, "total_timeout": 40.0}


class Shelf(Protocol):
    """Where a remote keeps its objects."""

    url: str

    def names(self) -> list[str]: ...
    def get(self, name: str) -> bytes: ...
    def put(self, name: str, data: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


class FolderShelf:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def get(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()


class BucketShelf:
    def __init__(self, client: Any, bucket: str) -> None:
        self.client = client
        self.bucket = bucket
        self.url = f"s3://{bucket}/some/folder/"

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return sorted(item["Key"].removeprefix("some/folder/") for item in found)

    def get(self, name: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=f"some/folder/{name}")["Body"].read()  # type: ignore[no-any-return]

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"some/folder/{name}", Body=data)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"some/folder/{name}")


def remote_at(url: str, **limits: float) -> RemoteStore:
    return RemoteStore(url, **{**LIMITS, **limits})


def fetched(remote: RemoteStore, entry: Entry, store: Store) -> Entry | None:
    """What a machine gets that has no objection."""
    return remote.fetch(entry.key, store, check=lambda record: None)


def record_name(entry: Entry) -> str:
    return f"{entry.key}.json"


def weights_name(entry: Entry) -> str:
    return f"{entry.record.weights_sha256}.safetensors"


def objects_of(entry: Entry, record: Record | None = None) -> dict[str, bytes]:
    """What a remote that has the entry holds."""
    return {
        record_name(entry): (record or entry.record).to_bytes(),
        weights_name(entry): entry.weights.read_bytes(),
    }
