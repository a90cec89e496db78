"""A checkpoint on this machine: its content hash, remembered, and what it says of itself."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from depthhub_cache.errors import CacheNotWritableError
from depthhub_cache.identity import ContentHash, is_sha256
from depthhub_cache.store import Store

from ..catalog import Catalog
from ..errors import CheckpointError, NotFoundError
from .digest import sha256_of
from .located import LocalCheckpoint
from .request import Request
from .stated import build_stated_by

log = logging.getLogger("depthhub")

_RACY_SECONDS = 2.0
"""A file written this shortly before it was hashed may change again without a new mtime: not remembered."""


def locate_local(path: Path, request: Request, store: Store, catalog: Catalog) -> LocalCheckpoint:
    path = path.expanduser().absolute()
    if not path.exists():
        raise NotFoundError(f"There is no file {path}.", source=str(path))
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; a source is one file of weights. Name the file in it.", path=path)
    content_hash = _hash_of_local(path, request, store)
    entry = catalog.by_sha256(content_hash)
    if entry is not None:
        entry.require_supported()
    return LocalCheckpoint(
        source=str(request.source),
        path=path,
        content_hash=content_hash,
        size=path.stat().st_size,
        entry=entry,
        stated=None if entry else build_stated_by(path),
    )


def _hash_of_local(path: Path, request: Request, store: Store) -> ContentHash:
    """The sha256 of a local file, remembered by path, size, mtime and inode: a second call reads nothing."""
    ref = f"file:{path}"
    stat = path.stat()
    fingerprint = [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev]
    remembered = None if request.refresh else store.recall(ref)
    if remembered is not None and remembered.get("fingerprint") == fingerprint:
        content_hash = remembered.get("content_hash")
        if is_sha256(content_hash):
            return ContentHash(str(content_hash))
    settled = time.time() - stat.st_mtime > _RACY_SECONDS
    content_hash = sha256_of(path, str(request.source), request.report)
    if settled:
        try:
            store.remember(ref, {"fingerprint": fingerprint, "content_hash": content_hash})
        except CacheNotWritableError as error:  # costs a second reading next time, nothing more
            log.debug("the digest of %s is not remembered: %s", path, error)
    return content_hash
