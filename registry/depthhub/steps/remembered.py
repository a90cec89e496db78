"""What the Hub said of a file, remembered: under names that no two Hubs, revisions or files share."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from depthhub_cache.errors import CacheError, CacheNotWritableError
from depthhub_cache.identity import ContentHash
from depthhub_cache.store import Store

from ..catalog import Catalog, CatalogEntry
from ..hub_names import DEFAULT_REVISION, is_commit
from ..settings import DEFAULT_ENDPOINT
from ..source import CatalogName, HubFile
from .located import HubCheckpoint
from .request import Request

log = logging.getLogger("depthhub")

FOUND = "found:"
"""How the names begin under which is remembered what was found in the cache of the Hub's own client."""


def ref_name(wanted: HubFile, entry: CatalogEntry | None, request: Request) -> str:
    """Without the user of the endpoint: names are written into the cache, passwords are not.

    No two endpoints share a name: of one with a path, the slashes are quoted.
    """
    endpoint = ""
    if request.settings.endpoint != DEFAULT_ENDPOINT:
        parts = urlsplit(request.settings.endpoint)
        beyond = urlunsplit(parts._replace(scheme="", netloc=""))
        endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{quote(beyond, safe='')}/"
    file = f"{wanted.repo_type}/{wanted.repo_id}/{wanted.filename or ''}"
    return f"hub:{endpoint}{file}@{revision_of(wanted, entry, request)}"


def revision_of(wanted: HubFile, entry: CatalogEntry | None, request: Request) -> str:
    """What is asked for: of a name of the catalog, the commit that it suggests; of a file, its main branch."""
    hint = entry.revision_hint if entry is not None and isinstance(request.source, CatalogName) else None
    return wanted.revision or hint or DEFAULT_REVISION


def recall(
    ref: str, wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store
) -> HubCheckpoint | None:
    answer = store.recall(ref)
    if answer is None:
        return None
    try:
        facts = _of_its_commit(HubCheckpoint.parse_ref(answer), wanted)
        return HubCheckpoint(
            source=str(request.source),
            repo_id=wanted.repo_id,
            repo_type=wanted.repo_type,
            entry=entry or known_to_the_catalog(wanted, facts["filename"], request),
            pinned=False,
            ref=ref,
            **facts,
        )
    except (KeyError, TypeError, ValueError) as error:  # another version's, or damaged: it costs a question
        log.debug("what was remembered for %s is not understood: %r", request.source, error)
        return None


def known_to_the_catalog(wanted: HubFile, filename: str, request: Request) -> CatalogEntry | None:
    """The entry of the file that a repository was found to mean: as it is asked for by its own name."""
    entry = Catalog.known(request.settings.catalog).by_file(wanted.repo_id, wanted.repo_type, filename)
    if entry is not None:
        entry.require_supported()
    return entry


def _of_its_commit(answer: dict[str, Any], wanted: HubFile) -> dict[str, Any]:
    """Raises ValueError where it is of another commit than the one that is asked for by its number."""
    if wanted.revision is not None and is_commit(wanted.revision) and answer["commits"] != (wanted.revision,):
        raise ValueError(f"it is of commit {answer['commits']}")
    return answer


def remember(located: HubCheckpoint, store: Store) -> None:
    """Keep the answer, so that the next call asks nobody."""
    if located.ref is None:
        return
    try:
        store.remember(located.ref, located.to_ref())
    except (CacheNotWritableError, ValueError) as error:  # or it is too long: a question next time, nothing more
        log.debug("the answer for %s is not remembered: %s", located.source, error)
        _forget_another(located, store)


def _forget_another(located: HubCheckpoint, store: Store) -> None:
    """An older answer must not outlive the one that cannot be written."""
    known = store.recall(located.ref or "")
    if not known or known.get("commit") == located.commit:
        return
    try:
        store.forget(located.ref or "")
    except CacheError as error:
        log.warning("%s: what was remembered before stays, and is taken next time: %s", located.source, error)


def remember_learned(located: HubCheckpoint, content_hash: ContentHash, store: Store) -> None:
    """What the Hub could not tell; unless somebody who asked later was told of another commit meanwhile."""
    now = store.recall(located.ref) if located.ref is not None else None
    if now is None or now.get("commit") == located.commit:
        remember(located._replace(content_hash=content_hash), store)


def iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
