"""What lies in a remote store, and who put it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub import prewarm
from depthhub.testing import LocalHub
from depthhub_cache.store import Entry, Store

REPO, FILE, NAME = "owner/repo", "tiny.pth", "tiny-pinned"


def pushed_by(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    with monkeypatch.context() as job:
        job.setenv("DEPTHHUB_PUSH", "1")
        (made,) = prewarm([NAME], cache_dir=cache)
    assert made.pushed is True
    entry = Store(cache).get(made.key)
    assert entry is not None
    return entry


def warmed(cache: Path, **options: object) -> Entry:
    """What a fresh machine has after a prewarm."""
    (made,) = prewarm([NAME], cache_dir=cache, **options)  # type: ignore[arg-type]
    entry = Store(cache).get(made.key)
    assert entry is not None
    Store(cache).verify(entry, deep=True)
    return entry


def hub_paths(hub: LocalHub) -> list[str]:
    return [request.path for request in hub.requests]
