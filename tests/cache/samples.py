"""Small things to put into a store. Loads no test framework: other processes use it too."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from depthhub_cache.identity import ContentHash, Key, make_key
from depthhub_cache.store import Entry, Store


def memory_folder() -> Path | None:
    """Where files are in memory, if this system has such a place: thousands of syncs to a disk take minutes."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


def key_of(name: object) -> Key:
    return make_key(hash_of(b"checkpoint"), {"name": str(name)})


def hash_of(data: bytes) -> ContentHash:
    return ContentHash(hashlib.sha256(data).hexdigest())


def weights_of(name: object, size: int = 64) -> bytes:
    """A whole safetensors file with one tensor of `size` bytes."""
    header = {"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}, "__metadata__": {"of": str(name)}}
    text = json.dumps(header).encode()
    seed = hashlib.sha256(str(name).encode()).digest()
    return len(text).to_bytes(8, "little") + text + (seed * (size // len(seed) + 1))[:size]


def publish(store: Store, name: object, *, data: bytes | None = None, **about: object) -> Entry:
    """Publish an entry `key_of(name)`, as those who convert a checkpoint do."""
    with store.stage() as staging:
        with staging.file("weights.safetensors") as staged:
            staged.write(weights_of(name) if data is None else data)
        return store.publish(key_of(name), staging, about={"name": str(name), **about})


def files_under(folder: Path) -> dict[str, int]:
    """Every file in a folder, by its path in it, with its size."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def tree_state(folder: Path) -> dict[str, tuple[int, ...]]:
    """All that a write of any kind would change, but not when it was read last."""
    return {
        str(path.relative_to(folder)): (
            state.st_ino,
            state.st_mode,
            state.st_size,
            state.st_mtime_ns,
            state.st_ctime_ns,
        )
        for path in (folder, *folder.rglob("*"))
        for state in [path.lstat()]
    }
