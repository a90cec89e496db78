"""A checkpoint on this machine: its content hash, remembered, and what it says of itself."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from depthhub_cache.errors import CacheNotWritableError
from depthhub_cache.identity import ContentHash, is_sha256
from depthhub_cache.store import Store

from ..catalog import Catalog
from ..checkpoint.containers import OpenCheckpoint
from .digest import Fingerprint, fingerprint, require_unchanged, sha256_of
from .located import LocalCheckpoint
from .request import Request
from .stated import stated_by

log = logging.getLogger("depthhub")

_RACY_SECONDS = 2.0
"""A file written this shortly before it was hashed may change again without a new time: not remembered."""


def locate_local(path: Path, request: Request, store: Store | None, catalog: Catalog) -> LocalCheckpoint:
    """The checkpoint at `path`. What is no regular file, or begins as no checkpoint does, is refused before it is read.

    store: where its content hash is remembered; None: nowhere, every byte is read.
    Raises NotFoundError, CheckpointError, UnsupportedModelError.
    """
    path = path.absolute()
    with OpenCheckpoint(Path(os.path.realpath(path))) as opened:
        before = fingerprint(opened)
        content_hash = None if store is None or request.refresh or request.verify else _recall(path, before, store)
        hashed_now, checked = content_hash is None, False
        if content_hash is None:
            content_hash, checked = _hashed(opened, request)
            require_unchanged(opened, before)
            if store is not None:
                _remember(path, before, content_hash, store)
        entry = catalog.by_sha256(content_hash)
        if entry is not None:
            entry.require_supported()
        return LocalCheckpoint(
            source=str(request.source),
            path=path,
            file=opened.path,
            content_hash=content_hash,
            hashed_now=hashed_now,
            checked=checked,
            fingerprint=before,
            size=int(before[0]),
            entry=entry,
            stated=None if entry else stated_by(path, opened),
        )


def _hashed(opened: OpenCheckpoint, request: Request) -> tuple[ContentHash, bool]:
    """The content hash, and whether its checksums are right: one thread hashes, and another one has nothing to do."""
    from concurrent.futures import ThreadPoolExecutor  # a file that is known needs neither

    from ..checkpoint.checksums import are_right

    with ThreadPoolExecutor(1, "depthhub-checksums") as beside:
        checked = beside.submit(are_right, opened)
        return sha256_of(opened, str(request.source), request.report), checked.result()


def forget(located: LocalCheckpoint, store: Store) -> None:
    """What was remembered of this file is wrong."""
    store.forget(_ref_name(located.path))


def _recall(path: Path, now: Fingerprint, store: Store) -> ContentHash | None:
    remembered = store.recall(_ref_name(path)) or {}
    content_hash = remembered.get("content_hash")
    if remembered.get("fingerprint") != list(now) or not is_sha256(content_hash):
        return None
    return ContentHash(str(content_hash))


def _remember(path: Path, before: Fingerprint, content_hash: ContentHash, store: Store) -> None:
    _, written, changed, *_ = before
    if time.time() - max(int(written), int(changed)) / 1e9 < _RACY_SECONDS:
        return
    try:
        store.remember(_ref_name(path), {"fingerprint": list(before), "content_hash": content_hash})
    except CacheNotWritableError as error:  # costs a second reading next time, nothing more
        log.debug("the digest of %s is not remembered: %s", path, error)


def _ref_name(path: Path) -> str:
    return f"file:{path}"
