"""Without a network: what the Hub said once, else what the cache of its own client has.

That may be old, or another Hub's, and counts only then; what it has now comes before what it had once.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from depthhub_cache.dates import date_of
from depthhub_cache.identity import ContentHash
from depthhub_cache.store import Store

from ..catalog import CatalogEntry
from ..checkpoint.containers import OpenCheckpoint
from ..errors import OfflineError
from ..settings import DEFAULT_ENDPOINT
from ..source import HubFile
from .digest import git_sha1_of, sha256_of
from .located import HubCheckpoint
from .remembered import FOUND, iso, recall, ref_name, remember, revision_of
from .request import Request
from .stated import CONFIG, Stated, read_config, stated_by_itself, stated_in, unread

if TYPE_CHECKING:
    from ..hub import CachedFile

log = logging.getLogger("depthhub")


def without_asking(wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store) -> HubCheckpoint:
    """The checkpoint as it is known here. Raises OfflineError where it is not."""
    if request.refresh:
        log.warning("%s: without a network nobody is asked again; what is known here is taken", request.source)
    ref = ref_name(wanted, entry, request)
    said = recall(ref, wanted, entry, request, store)
    if said is not None and _tells_how(said):
        return said
    if said is None and store.has_answer(ref):
        log.warning(
            "%s: what the Hub said of it is damaged or hidden; what its client has may be older", request.source
        )
    at = wanted if said is None else wanted._replace(revision=said.commit)
    before = None if request.refresh else recall(FOUND + ref_name(at, entry, request), at, entry, request, store)
    try:
        found = _look(at, entry, request, store, before)
    except OfflineError as error:
        if before is not None:
            if not _tells_how(before):
                _warn_of_its_config(request)
            log.warning("%s: taking commit %.12s, which was found here once: %s", request.source, before.commit, error)
            return before
        if said is None:
            raise
        raise OfflineError(
            f"{request.source} is known, but not whether a config.json beside it says how to build it, and the network "
            "may not be used (offline=True or HF_HUB_OFFLINE). Run `depthhub pull` once with a network.",
            source=str(request.source),
        ) from error
    is_lost = found.stated is None or found.stated.problem is not None
    if before is not None and before.stated is not None and is_lost and before.commit == found.commit:
        return before  # its config.json is gone since
    remember(found, store)
    return found


def _tells_how(known: HubCheckpoint) -> bool:
    """Whether its config.json was looked at, or the catalog knows it."""
    return known.config_asked or known.entry is not None


def _look(
    wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store, before: HubCheckpoint | None
) -> HubCheckpoint:
    """before: what was found there once. A file whose name is the same sha256 is not read again to be found."""
    from .. import hub

    damaged = ""
    if wanted.filename is not None:
        found = hub.cached_file(
            wanted.repo_id, wanted.filename, repo_type=wanted.repo_type, revision=revision_of(wanted, entry, request)
        )
        if found is not None:
            with OpenCheckpoint(found.path) as opened:
                known = before.content_hash if before is not None else None
                if known is not None and known == found.digest:
                    return _found_there(found, opened, known, wanted, entry, request)
                content_hash = sha256_of(opened, str(request.source), request.report)
                if _is_as_named(found, opened, content_hash):
                    return _found_there(found, opened, content_hash, wanted, entry, request)
            damaged = f" The copy in the Hub's own cache, {found.path}, is damaged (sha256 {content_hash})."
    raise OfflineError(
        f"{request.source} was never resolved on this machine, and the network may not be used "
        f"(offline=True or HF_HUB_OFFLINE).{damaged}{_known_elsewhere(wanted, entry, request, store)} "
        "Run `depthhub pull` once with a network.",
        source=str(request.source),
    )


def _known_elsewhere(wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store) -> str:
    """What else may be the reason that nothing is known: another address of the Hub, or a damaged memory."""
    if any(store.broken_refs()):
        return " Some of what was remembered is damaged; `depthhub verify` says what."
    name = ref_name(wanted, entry, request).partition(f"{wanted.repo_type}/{wanted.repo_id}/")
    for other, _ in store.refs():
        endpoint, place, rest = other.removeprefix("hub:").partition(f"{wanted.repo_type}/{wanted.repo_id}/")
        if other.startswith("hub:") and (place, rest) == name[1:]:
            known = unquote(endpoint.rstrip("/")) or DEFAULT_ENDPOINT
            return f" It is known as of HF_ENDPOINT={known}; set that."
    return ""


def _found_there(
    found: CachedFile,
    opened: OpenCheckpoint,
    content_hash: ContentHash,
    wanted: HubFile,
    entry: CatalogEntry | None,
    request: Request,
) -> HubCheckpoint:
    """Remembered only where names prove the content: without them, a later call looks again."""
    stated, is_sure, was_asked = _stated_there(found, opened, wanted) if entry is None else (None, True, False)
    if entry is None and not was_asked:
        _warn_of_its_config(request)
    return HubCheckpoint(
        source=str(request.source),
        repo_id=wanted.repo_id,
        repo_type=wanted.repo_type,
        filename=wanted.filename or "",
        commits=(found.commit,),
        content_hash=content_hash,
        git_sha1=None,
        size=opened.size,
        entry=entry,
        stated=stated,
        config_asked=was_asked,
        pinned=False,
        ref=FOUND + ref_name(wanted, entry, request) if is_sure and found.digest is not None else None,
        remembered_at=iso(date_of(found.path.stat().st_mtime)),
    )


def _is_as_named(found: CachedFile, opened: OpenCheckpoint, content_hash: ContentHash) -> bool:
    """Whether a file of the Hub's own cache is what the Hub called it; the client itself never looks."""
    if found.digest is None:
        log.warning("%s: nothing tells whether it is as the Hub has it; it is taken as it is", found.path)
        return True
    if len(found.digest) == len(content_hash):
        return found.digest == content_hash
    return found.digest == git_sha1_of(opened.whole())


def _stated_there(found: CachedFile, opened: OpenCheckpoint, wanted: HubFile) -> tuple[Stated | None, bool, bool]:
    """What the file says of itself, else the config.json beside it; whether that may be remembered; whether it was
    ever asked for.
    """
    from .. import hub

    if (own := stated_by_itself(opened)) is not None:
        return own, True, True
    beside = str(PurePosixPath(wanted.filename or "").with_name(CONFIG))
    config = hub.cached_file(wanted.repo_id, beside, repo_type=wanted.repo_type, revision=found.commit)
    if config is None:
        is_known = hub.is_known_to_be_missing(wanted.repo_id, beside, repo_type=wanted.repo_type, revision=found.commit)
        return None, True, is_known
    try:
        text = read_config(config.path)
    except ValueError as error:
        return unread(error), False, True
    if text is None:
        return unread("it is gone since"), False, True
    if config.digest is None:
        log.warning("%s: nothing tells whether it is as the Hub has it; it is taken as it is", config.path)
        return stated_in(text), False, True
    if config.digest not in (hashlib.sha256(text).hexdigest(), git_sha1_of(text)):
        return unread(f"{config.path} is damaged"), False, True
    return stated_in(text), True, True


def _warn_of_its_config(request: Request) -> None:
    log.warning("%s: whether a config.json beside it says how to build it was never asked here", request.source)
