"""A verified checkpoint on this machine: the file itself, a kept original, the Hub's own cache, or a download.

Whatever the way, its sha256 is known to be right before anything parses a byte of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from depthhub_cache.identity import ContentHash
from depthhub_cache.staging import Staging
from depthhub_cache.store import Store

from ..errors import CheckpointError, NotFoundError, OfflineError
from ..progress import Progress
from .digest import sha256_of
from .hub_file import remember
from .located import HubCheckpoint, LocalCheckpoint, Located
from .request import Request

log = logging.getLogger("depthhub")


@dataclass(frozen=True, slots=True)
class Obtained:
    """A file whose bytes have the content hash, and the commit it came from (None: a local file)."""

    path: Path
    content_hash: ContentHash
    commit: str | None


@contextmanager
def obtain(located: Located, request: Request, store: Store, staging: Staging) -> Iterator[Obtained]:
    """The verified file, for as long as the context lasts; a download lives in `staging` and goes with it."""
    if isinstance(located, LocalCheckpoint):
        yield from _unchanged(located)
        return
    existing = _existing(located, request, store)
    yield existing if existing is not None else _download(located, request, store, staging)


def _unchanged(located: LocalCheckpoint) -> Iterator[Obtained]:
    """The user's own file; an error where it changes between its hash and the end of its conversion."""
    before = located.path.stat()
    yield Obtained(located.path, located.content_hash, None)
    after = located.path.stat()
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise CheckpointError(
            f"{located.path} changed while it was read. Try again when it is complete.", path=located.path
        )


def _existing(located: HubCheckpoint, request: Request, store: Store) -> Obtained | None:
    """A copy that is on this machine already, used where it lies after every byte of it was checked."""
    if located.content_hash is None:
        return None
    from .. import hub

    kept = store.kept(located.content_hash)
    if kept is not None and sha256_of(kept, located.source, request.report) == located.content_hash:
        return Obtained(kept, located.content_hash, located.commit)
    for commit in located.commits:
        found = hub.cached_file(located.repo_id, located.filename, repo_type=located.repo_type, revision=commit)
        if found is None:
            continue
        digest = sha256_of(found.path, located.source, request.report)
        if digest == located.content_hash:
            log.info("found in the Hub's own cache and verified: %s", found.path)
            return Obtained(found.path, digest, found.commit)
        log.warning("%s in the Hub's own cache is damaged (sha256 %s); it is left alone", found.path, digest)
    return None


def _download(located: HubCheckpoint, request: Request, store: Store, staging: Staging) -> Obtained:
    from .. import hub

    if request.settings.offline:
        raise OfflineError(
            f"{located.source} is not in the cache {request.settings.cache_dir}, and the network may not be used "
            "(offline=True or HF_HUB_OFFLINE). Run `depthhub pull` once with a network.",
            source=located.source,
        )
    name = f"{located.content_hash}.part" if located.content_hash else "checkpoint.part"
    seeds = list(store.abandoned(name)) if located.content_hash else []
    last = len(located.commits) - 1

    def report(progress: Progress) -> None:
        request.report(replace(progress, source=located.source))  # as the user wrote it, not as the Hub is asked

    for attempt, commit in enumerate(located.commits):
        remote = hub.RemoteFile(
            repo_id=located.repo_id,
            repo_type=located.repo_type,
            commit=commit,
            filename=located.filename,
            size=located.size,
            sha256=located.content_hash,
            git_sha1=located.git_sha1,
        )
        with staging.file(name) as staged:
            try:
                content_hash = hub.download(remote, staged, settings=request.settings, progress=report, seed=seeds)
            except NotFoundError:
                if attempt == last:
                    raise
                log.warning("%s: the commit that the catalog suggests is gone; trying the next", located.source)
                continue
        log.info("downloaded and verified %s bytes, sha256 %.12s", f"{staged.size:,}", content_hash)
        if located.content_hash is None:  # the Hub could not tell it; from now on the cache can
            remember(replace(located, content_hash=content_hash), store)
        store.sweep()
        return Obtained(_keep(staged.path, located, content_hash, request, store), content_hash, commit)
    raise AssertionError("a located checkpoint has at least one commit")


def _keep(path: Path, located: HubCheckpoint, content_hash: ContentHash, request: Request, store: Store) -> Path:
    """The original itself is derived data too: it goes with the staging directory unless the user wants it."""
    if not request.settings.keep_source:
        return path
    return store.keep(path, content_hash, filename=Path(located.filename).name)
