"""A verified checkpoint on this machine: the file itself, a kept original, the Hub's own cache, or a download.

Whatever the way, its sha256 is known to be right before anything parses a byte of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from depthhub_cache.errors import CacheError
from depthhub_cache.identity import ContentHash, Key
from depthhub_cache.staging import Staging
from depthhub_cache.store import Store

from ..checkpoint.containers import OpenCheckpoint
from ..errors import CheckpointError, NotFoundError, OfflineError
from ..hub_names import is_commit
from ..progress import Progress, Report
from .digest import Settled, require_content, require_unchanged, settle, sha256_of
from .local_file import forget
from .located import HubCheckpoint, LocalCheckpoint, Located
from .remembered import remember_learned
from .request import Request
from .room import require_room

log = logging.getLogger("depthhub")


@dataclass(frozen=True, slots=True)
class Obtained:
    """An open file whose bytes have the content hash, and the commit it came from; None where that is not
    known, as of a local file.

    downloaded: it is our own, in our staging directory, and nobody else writes to it. checked: its checksums were found
    right.
    """

    opened: OpenCheckpoint
    content_hash: ContentHash
    commit: str | None
    settled: Settled
    downloaded: bool = False
    checked: bool = False

    def require_unchanged(self, source: str, report: Report) -> None:
        """Raises CheckpointError where the file is no longer as it was when it was verified."""
        require_unchanged(self.opened, self.settled.fingerprint)
        if not (self.downloaded or self.settled.shows):
            require_content(self.opened, self.content_hash, source, report)


@contextmanager
def obtain(located: Located, request: Request, store: Store, staging: Staging) -> Iterator[Obtained]:
    """The verified file, for as long as the context lasts. A download lives in `staging` and goes with it, unless the
    user wants originals kept; any other is left where and as it is.
    """
    if isinstance(located, LocalCheckpoint):
        with OpenCheckpoint(located.file) as opened:
            yield _local(opened, located, request, store)
        return
    with store.lease(Key(located.content_hash)) if located.content_hash else nullcontext():
        obtained, pid = _existing(located, request, store) or _download(located, request, store, staging), os.getpid()
        try:
            with obtained.opened:
                yield obtained
            if located.content_hash is None:
                remember_learned(located, obtained.content_hash, store)
        finally:
            if obtained.downloaded and request.settings.keep_source and os.getpid() == pid:  # a forked child has none
                _keep(obtained, located, store)


def _local(opened: OpenCheckpoint, located: LocalCheckpoint, request: Request, store: Store) -> Obtained:
    """The user's own file. A remembered hash is good enough to find an entry by, not to make one from."""
    settled = located.settled if located.hashed_now else settle(opened)
    require_unchanged(opened, located.settled.fingerprint)  # taken before it was opened: see `opened_settled`
    if located.hashed_now:
        return Obtained(opened, located.content_hash, None, settled, checked=located.checked)
    if sha256_of(opened, located.source, request.report) != located.content_hash:
        forget(located, store)
        raise CheckpointError(
            f"{located.path} has other content than when its sha256 was remembered, under the same times and inode. "
            "That is forgotten now; try again.",
            path=located.path,
        )
    return Obtained(opened, located.content_hash, None, settled)


def _existing(located: HubCheckpoint, request: Request, store: Store) -> Obtained | None:
    """A copy that is on this machine already, used where it lies after every byte of it was checked."""
    for path, commit in copies(located, store):
        found = _verified(path, located, commit, request)
        if found is not None:
            store.note_use(path)
            return found
    return None


def copies(located: HubCheckpoint, store: Store) -> Iterator[tuple[Path, str | None]]:
    """Files on this machine that should be the checkpoint, and the commit of each: kept originals, the Hub's own cache.

    None where nothing tells whether they are.
    """
    if located.content_hash is None:
        return
    from .. import hub

    for kept in store.all_kept(located.content_hash):
        yield kept, located.known_commit
    for commit in located.commits:
        found = hub.cached_file(located.repo_id, located.filename, repo_type=located.repo_type, revision=commit)
        if found is not None:
            yield found.path, found.commit


def _verified(path: Path, located: HubCheckpoint, commit: str | None, request: Request) -> Obtained | None:
    """A copy that is what was asked for; None where it is not, or cannot be read: a download does it too."""
    with ExitStack() as unless_verified:
        try:
            opened, settled = opened_settled(path)
            unless_verified.enter_context(opened)
            digest = sha256_of(opened, located.source, request.report)
        except (CheckpointError, NotFoundError) as error:
            log.warning("%s", error)
            return None
        if digest != located.content_hash:
            log.warning("%s is damaged (sha256 %s); it is left alone", path, digest)
            return None
        log.info("found and verified: %s", path)
        unless_verified.pop_all()
        return Obtained(opened, digest, commit, settled)


def opened_settled(path: Path) -> tuple[OpenCheckpoint, Settled]:
    """Opened anew once it is settled, so that nothing happens to it between the two without being seen.

    A union mount (an image) copies a file of a lower layer when somebody opens it to write: who had it open reads the
    copy from then on, and maps the original.
    """
    with OpenCheckpoint(path) as before:
        settled = settle(before)
    with ExitStack() as unless_same:
        opened = unless_same.enter_context(OpenCheckpoint(path))
        require_unchanged(opened, settled.fingerprint)
        unless_same.pop_all()
    return opened, settled


def _download(located: HubCheckpoint, request: Request, store: Store, staging: Staging) -> Obtained:
    from .. import hub

    require_network(located, request)
    if located.size is not None:
        require_room(located.size + _converted_size(located.size, request), request, store)
    if located.content_hash is None and located.git_sha1 is None:
        log.warning(
            "%s: the Hub tells no digest of it, so that nobody can tell whether it arrives whole", located.source
        )
    name = part_name(located)
    seeds = list(store.abandoned(name)) if located.content_hash else []
    last = len(located.commits) - 1

    def report(progress: Progress) -> None:
        request.report(progress._replace(source=located.source))  # as the user wrote it, not as the Hub is asked

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
        opened = OpenCheckpoint(staged.path)
        came_from = commit if is_commit(commit) else None
        return Obtained(opened, content_hash, came_from, settle(opened), downloaded=True)
    raise AssertionError("a located checkpoint has at least one commit")


def require_obtainable(located: Located, request: Request, store: Store) -> None:
    """Before anything is written: raises OfflineError where it would have to be downloaded, and may not be."""
    if (
        isinstance(located, HubCheckpoint)
        and request.settings.offline
        and not any(True for _ in copies(located, store))
    ):
        require_network(located, request)


def require_network(located: HubCheckpoint, request: Request) -> None:
    """Raises OfflineError where a checkpoint would have to be downloaded, and may not be."""
    settings = request.settings
    if settings.offline:
        why = "the network may not be used (offline=True or HF_HUB_OFFLINE). Run `depthhub pull` once with a network"
    elif not settings.hub_fallback:
        why = "the Hub may not be asked (DEPTHHUB_HUB_FALLBACK=0). Run `depthhub pull` once without that"
    else:
        return
    raise OfflineError(f"{located.source} is not in the cache {settings.cache_dir}, and {why}.", source=located.source)


def part_name(located: HubCheckpoint) -> str:
    """The file that a download is written to. What a killed process has left of it is known by its name."""
    return f"{located.content_hash}.part" if located.content_hash else "checkpoint.part"


def _converted_size(size: int, request: Request) -> int:
    """About what the converted file will take beside the downloaded one, whose numbers are nearly always float32."""
    return size // 2 if request.dtype in ("float16", "bfloat16") else size


def _keep(obtained: Obtained, located: HubCheckpoint, store: Store) -> None:
    try:
        name = Path(located.filename).name.lstrip(".") or "checkpoint"
        store.keep(obtained.opened.path, obtained.content_hash, filename=name)
    except CacheError as error:  # what was asked for does not need it
        log.warning("%s: the original is not kept: %s", located.source, error)
