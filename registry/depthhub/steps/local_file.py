"""A checkpoint on this machine: its content hash, remembered, and what it says of itself."""

import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

from depthhub_cache.errors import CacheNotWritableError
from depthhub_cache.identity import ContentHash, is_sha256
from depthhub_cache.store import Store

from ..catalog import Catalog
from ..checkpoint.containers import OpenCheckpoint, held
from ..errors import CheckpointError
from .digest import Fingerprint, Settled, fingerprint, require_unchanged, require_whole, settle, sha256_of
from .located import LocalCheckpoint
from .request import Request
from .stated import CONFIG, stated_by

log = logging.getLogger("depthhub")

_RACY_SECONDS = 2.0
"""A file written this shortly before it was hashed may change again without a new time: not remembered."""

_SLOW_SECONDS = 60.0
"""The same where nobody tells whether a write that began then is done."""


def locate_local(path: Path, request: Request, store: Store | None, catalog: Catalog) -> LocalCheckpoint:
    """The checkpoint at `path`. What is no regular file, or begins as no checkpoint does, is refused before it is read.

    store: where its content hash is remembered; None: nowhere, every byte is read.
    Raises NotFoundError, CheckpointError, UnsupportedModelError.
    """
    path = path.absolute()
    folder = Path(os.path.realpath(path.parent))  # a link may lead elsewhere a moment later
    with held(folder) as descriptor, OpenCheckpoint(folder / path.name, descriptor) as opened:
        found = None
        if store is not None and not (request.refresh or request.verify):
            found = _recall(path, fingerprint(opened), store)
        stated = stated_by(opened)
        if found is None:
            found = _hashed(opened, request)
            if stated_by(opened) != stated:
                raise CheckpointError(f"{folder / CONFIG} changed while {path.name} was read. Try again.", path=path)
            if store is not None:
                _remember(path, found, store)
        entry = catalog.by_sha256(found.content_hash)
        if entry is not None:
            entry.require_supported()
        return LocalCheckpoint(
            source=str(request.source),
            path=path,
            file=opened.real_path,
            content_hash=found.content_hash,
            hashed_now=found.now,
            checked=found.checked,
            settled=found.settled,
            size=opened.size,
            entry=entry,
            stated=None if entry else stated,
        )


class _Hashed(NamedTuple):
    """The content hash, what it is of, whether it was learned now, and whether the checksums were found right."""

    content_hash: ContentHash
    settled: Settled
    now: bool
    checked: bool


def _hashed(opened: OpenCheckpoint, request: Request) -> _Hashed:
    """One thread hashes, and compares checksums meanwhile in another one, which has nothing else to do."""
    from concurrent.futures import ThreadPoolExecutor  # a file that is known needs neither

    from ..checkpoint.checksums import are_right

    settled, pid = settle(opened), os.getpid()
    require_whole(opened)
    if settled.is_written:
        log.warning("%s: a program has it open to write; what it writes later is not in the model", opened.path)
    with ThreadPoolExecutor(1, "depthhub-checksums") as beside:
        comparing = beside.submit(are_right, opened)
        content_hash = sha256_of(opened, str(request.source), request.report)
        # A forked child has no such thread. And where changes do not show, it may change until it is converted.
        checked = settled.shows and os.getpid() == pid and comparing.result()
    require_unchanged(opened, settled.fingerprint)
    return _Hashed(content_hash, settled, now=True, checked=checked)


def forget(located: LocalCheckpoint, store: Store) -> None:
    """What was remembered of this file is wrong."""
    store.forget(_ref_name(located.path))


def _recall(path: Path, now: Fingerprint, store: Store) -> _Hashed | None:
    remembered = store.recall(_ref_name(path)) or {}
    content_hash = remembered.get("content_hash")
    if remembered.get("fingerprint") != list(now) or not is_sha256(content_hash):
        return None
    settled = Settled(now, shows=False, is_written=None)
    return _Hashed(ContentHash(str(content_hash)), settled, now=False, checked=False)


def _remember(path: Path, hashed: _Hashed, store: Store) -> None:
    _, written, changed, *_ = hashed.settled.fingerprint
    age = time.time() - max(int(written), int(changed)) / 1e9
    if hashed.settled.is_written or age < (_SLOW_SECONDS if hashed.settled.is_written is None else _RACY_SECONDS):
        return
    answer = {"fingerprint": list(hashed.settled.fingerprint), "content_hash": hashed.content_hash}
    try:
        store.remember(_ref_name(path), answer)
    except CacheNotWritableError as error:  # costs a second reading next time, nothing more
        log.debug("the digest of %s is not remembered: %s", path, error)


def _ref_name(path: Path) -> str:
    return f"file:{path}"
