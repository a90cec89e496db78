"""What the Hub said of a file, remembered: under names that no two Hubs, revisions or files share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from depthhub_cache.errors import CacheError, CacheNotWritableError
from depthhub_cache.identity import ContentHash, is_sha256
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


class Earlier:
    """What was remembered of a file, and of its repository, when a question was begun.

    An answer that somebody else was given meanwhile is not written over; one that just came here meanwhile, and was
    given before, is.
    """

    def __init__(self, wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store) -> None:
        self._name: Callable[[str | None], str] = lambda file: ref_name(wanted._replace(filename=file), entry, request)
        self._store, self._began = store, iso(datetime.now(timezone.utc))
        self._source, self._filename = str(request.source), wanted.filename
        names = (self._name(None), self._name(wanted.filename))
        self._answers: dict[str, Mapping[str, Any] | None] = {name: store.recall(name) for name in names}
        if wanted.filename is None:  # which file it means the Hub has yet to say
            of = names[0].removesuffix(f"@{revision_of(wanted, entry, request)}")
            self._answers |= {name: answer for name, answer in store.refs() if name.startswith(of)}

    def stands(self, name: str) -> bool:
        """Whether what is remembered under `name` is what was, or is older than the question."""
        now = self._store.recall(name)
        return now in (None, self._answers.get(name)) or str((now or {}).get("remembered_at", "")) < self._began

    def give_way(self, located: HubCheckpoint, means_it: bool) -> None:
        """Remember the answer by each name of the file: its own, and its repository's where that meant it or means it.

        means_it: whether the repository, without the name of a file, means this one now.
        """
        whole, named = self._name(None), self._name(located.filename)
        if self.stands(named):
            remember(located._replace(ref=named), self._store)
        meant_it = (self._answers[whole] or {}).get("filename") == located.filename
        if located.ref == whole or (meant_it and means_it and self.stands(whole)):
            remember(located._replace(ref=whole), self._store)
        elif meant_it and self.stands(whole):
            _forget(whole, located.commit, self._source, self._store)

    def with_its_digest(self, located: HubCheckpoint) -> HubCheckpoint:
        """Where the Hub tells git's digest and no sha256: with the one that a download has told of the very same file.

        Under whichever name: the file's own, or that of the repository that meant it.
        """
        if located.content_hash is not None or located.git_sha1 is None:
            return located
        very_same = (located.commit, located.filename, located.git_sha1)
        for known in filter(None, self._answers.values()):
            of = (known.get("commit"), known.get("filename"), known.get("git_sha1"))
            if of == very_same and is_sha256(known.get("content_hash")):
                return located._replace(content_hash=ContentHash(known["content_hash"]))
        return located

    def is_over(self) -> None:
        """The Hub has no such file, or several that may be meant: no answer that it is one stays."""
        whole, named = self._name(None), self._name(self._filename)
        meant_it = (self._answers[whole] or {}).get("filename") == self._filename
        for ref in {named, whole} if meant_it else {named}:
            if self.stands(ref):
                _forget(ref, None, self._source, self._store)


def remember(located: HubCheckpoint, store: Store) -> None:
    """Keep the answer, so that the next call asks nobody; with what was learned before of the same commit."""
    if located.ref is None:
        return
    answer, known = located.to_ref(), store.recall(located.ref) or {}
    if (known.get("commit"), known.get("filename")) == (located.commit, located.filename):
        answer = {**{fact: known[fact] for fact in not_asked_in(answer) & known.keys()}, **answer}
    try:
        store.remember(located.ref, answer)
    except (CacheNotWritableError, ValueError) as error:  # or it is too long: a question next time, nothing more
        log.debug("the answer for %s is not remembered: %s", located.source, error)
        _forget(located.ref, located.commit, located.source, store)


def not_asked_in(answer: Mapping[str, Any]) -> set[str]:
    """The facts of a commit that have to be asked for apart, and that an answer therefore does not tell."""
    config = set() if "config" in answer else {"config", "config_problem"}
    return config if "licence" in answer else {*config, "licence"}


def _forget(ref: str, commit: str | None, source: str, store: Store) -> None:
    """Under this name no answer but of `commit` stays: an older one must not outlive one that cannot be written."""
    known = store.recall(ref)
    if not known or known.get("commit") == commit:
        return
    try:
        store.forget(ref)
    except CacheError as error:
        log.warning("%s: what was remembered before stays, and is taken next time: %s", source, error)


def remember_learned(located: HubCheckpoint, content_hash: ContentHash, store: Store) -> None:
    """What the Hub could not tell; unless its answer was replaced by another one meanwhile, or forgotten."""
    now = store.recall(located.ref) if located.ref is not None else None
    if now is not None and now.get("commit") == located.commit:
        remember(located._replace(content_hash=content_hash), store)


def iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
