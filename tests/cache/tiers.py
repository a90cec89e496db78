"""Caches in tiers: filled, and looked at."""

from __future__ import annotations

from pathlib import Path

from depthhub_cache.store import Store

from .samples import hash_of, key_of, publish

KEY = key_of("vits")


def fill(root: Path, *names: str, maker: str | None = None) -> Store:
    """A cache with an entry, a ref and a kept original of each name."""
    store = Store(root)
    for name in names:
        publish(store, name, maker=maker or root.name)
        store.remember(name, {"of": root.name})
        with store.stage() as staging:
            store.keep(staging.add(f"{name}.pth", name.encode()), hash_of(name.encode()))
    return store
