"""A checkpoint on the Hub that nobody has a pin for: a remembered answer, or one question."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from depthhub_cache.dates import date_of
from depthhub_cache.errors import CacheNotWritableError
from depthhub_cache.identity import ContentHash
from depthhub_cache.store import Store

from ..catalog import CatalogEntry
from ..checkpoint.containers import OpenCheckpoint
from ..errors import NotFoundError, OfflineError, SourceError
from ..hub_names import DEFAULT_REVISION, WEIGHT_SUFFIXES, is_commit
from ..progress import Progress
from ..settings import DEFAULT_ENDPOINT
from ..source import HubFile
from .digest import git_sha1_of, sha256_of
from .located import HubCheckpoint
from .request import Request
from .stated import CONFIG, LIMIT, Stated, read_config, stated_by_itself, stated_in

if TYPE_CHECKING:
    from ..hub import CachedFile, Listing, RemoteFile

log = logging.getLogger("depthhub")

FOUND = "found:"
"""How the names begin under which is remembered what was found in the cache of the Hub's own client."""


def ask_once(wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store) -> HubCheckpoint:
    """A branch, a tag or a file that the catalog has no pin for: remembered, or asked for once."""
    if request.settings.offline:
        return _without_asking(wanted, entry, request, store)
    ref = ref_name(wanted, entry, request)
    remembered = None if request.refresh else _recall(ref, wanted, entry, request, store)
    if remembered is not None and _suffices(remembered, entry, request):
        return remembered
    before = store.recall(ref)
    located = _ask_the_hub(wanted, entry, request)
    log.info("the Hub names commit %.12s, sha256 %.12s", located.commit, located.content_hash or "not told")
    if store.recall(ref) == before:  # else somebody was told something else while the config.json was on its way
        remember(located, store)
        if wanted.filename is None:  # asked for by its own name, the file is the same
            named = wanted._replace(filename=located.filename)
            remember(located._replace(ref=ref_name(named, entry, request)), store)
    return located


def _without_asking(wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store) -> HubCheckpoint:
    """What the Hub said; else what its client's cache has: it may be old, or another Hub's, and counts only offline."""
    ref = ref_name(wanted, entry, request)
    remembered = _recall(ref, wanted, entry, request, store)
    if remembered is None and not request.refresh:
        remembered = _recall(FOUND + ref, wanted, entry, request, store)
    if remembered is not None:
        return remembered
    found = _in_the_hubs_own_cache(wanted, entry, request, store)
    remember(found, store)
    return found


def remember(located: HubCheckpoint, store: Store) -> None:
    """Keep the answer, so that the next call asks nobody."""
    if located.ref is None:
        return
    try:
        store.remember(located.ref, located.to_ref())
    except (CacheNotWritableError, ValueError) as error:  # or it is too long: a question next time, nothing more
        log.debug("the answer for %s is not remembered: %s", located.source, error)


def remember_learned(located: HubCheckpoint, content_hash: ContentHash, store: Store) -> None:
    """What the Hub could not tell; unless somebody who asked later was told of another commit meanwhile."""
    now = store.recall(located.ref) if located.ref is not None else None
    if now is None or now.get("commit") == located.commit:
        remember(located._replace(content_hash=content_hash), store)


def _suffices(remembered: HubCheckpoint, entry: CatalogEntry | None, request: Request) -> bool:
    """Whether all was asked then that this call has to know."""
    needs_card = entry is None and request.settings.allow_licences is not None
    return (remembered.config_asked or entry is not None) and (remembered.card_asked or not needs_card)


def ref_name(wanted: HubFile, entry: CatalogEntry | None, request: Request) -> str:
    """Without the user of the endpoint: names are written into the cache, passwords are not.

    No two endpoints share a name: of one with a path, the slashes are quoted.
    """
    endpoint = ""
    if request.settings.endpoint != DEFAULT_ENDPOINT:
        parts = urlsplit(request.settings.endpoint)
        beyond = urlunsplit(parts._replace(scheme="", netloc=""))
        endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{quote(beyond, safe='')}/"
    return f"hub:{endpoint}{wanted.repo_type}/{wanted.repo_id}/{wanted.filename or ''}@{_revision(wanted, entry)}"


def _revision(wanted: HubFile, entry: CatalogEntry | None) -> str:
    """What is asked for: of a name, the commit that the catalog suggests."""
    return wanted.revision or (entry.revision_hint if entry else None) or DEFAULT_REVISION


def _recall(
    ref: str, wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store
) -> HubCheckpoint | None:
    answer = store.recall(ref)
    if answer is None:
        return None
    try:
        return HubCheckpoint(
            source=str(request.source),
            repo_id=wanted.repo_id,
            repo_type=wanted.repo_type,
            entry=entry,
            pinned=False,
            ref=ref,
            **_of_its_commit(HubCheckpoint.parse_ref(answer), wanted),
        )
    except (KeyError, TypeError, ValueError) as error:  # another version's, or damaged: it costs a question
        log.debug("what was remembered for %s is not understood: %r", request.source, error)
        return None


def _of_its_commit(answer: dict[str, Any], wanted: HubFile) -> dict[str, Any]:
    """Raises ValueError where it is of another commit than the one that is asked for by its number."""
    if wanted.revision is not None and is_commit(wanted.revision) and answer["commits"] != (wanted.revision,):
        raise ValueError(f"it is of commit {answer['commits']}")
    return answer


def _ask_the_hub(wanted: HubFile, entry: CatalogEntry | None, request: Request) -> HubCheckpoint:
    request.report(Progress(str(request.source), "resolving"))
    listing = _list(wanted, entry, request)
    remote = _choose(listing, wanted, entry)
    _confirm_hint(entry, wanted, remote)
    return HubCheckpoint(
        source=str(request.source),
        repo_id=remote.repo_id,
        repo_type=remote.repo_type,
        filename=remote.filename,
        commits=(remote.commit,),
        content_hash=ContentHash(remote.sha256) if remote.sha256 else None,
        git_sha1=remote.git_sha1,
        size=remote.size,
        entry=entry,
        stated=_ask_for_config(listing, remote, request) if entry is None else None,
        config_asked=entry is None,  # else the catalog decides; of all that a caller may say, nothing says the taps
        pinned=False,
        ref=ref_name(wanted, entry, request),
        remembered_at=_iso(datetime.now(timezone.utc)),
        card_licence=listing.licence,
        card_asked=True,
    )


def _ask_for_config(listing: Listing, remote: RemoteFile, request: Request) -> Stated | None:
    from .. import hub

    beside = str(PurePosixPath(remote.filename).with_name(CONFIG))
    config = next((file for file in listing.files if file.filename == beside), None)
    if config is None:
        return None
    if (config.size or 0) > LIMIT:
        log.warning("%s: its %s is larger than one can be; it is ignored", request.source, CONFIG)
        return None
    if config.sha256 is None and config.git_sha1 is None:
        log.warning("%s: the Hub tells no digest of its %s, which is taken as it comes", request.source, CONFIG)
    return stated_in(
        hub.read_small_file(config, settings=request.settings, limit=LIMIT), f"{request.source}'s {CONFIG}"
    )


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")


def _list(wanted: HubFile, entry: CatalogEntry | None, request: Request) -> Listing:
    from .. import hub

    revision = wanted.revision or (entry.revision_hint if entry else None)
    try:
        return hub.list_files(wanted.repo_id, repo_type=wanted.repo_type, revision=revision, settings=request.settings)
    except NotFoundError:
        if wanted.revision is not None or revision is None:
            raise
    log.warning("%s: the commit that the catalog suggests is gone; taking %s", request.source, DEFAULT_REVISION)
    return hub.list_files(wanted.repo_id, repo_type=wanted.repo_type, revision=None, settings=request.settings)


def _choose(listing: Listing, wanted: HubFile, entry: CatalogEntry | None) -> RemoteFile:
    where = f"{listing.repo_id} at {_revision(wanted, entry)}"
    if wanted.filename is not None:
        for file in listing.files:
            if file.filename == wanted.filename:
                return file
        import difflib  # only a mistake needs it

        names = [file.filename for file in listing.files]
        near = difflib.get_close_matches(wanted.filename, names, n=3, cutoff=0.4)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise NotFoundError(f"{where} has no file {wanted.filename}.{hint}", source=str(wanted), suggestions=near)
    weights = [file for file in listing.files if file.filename.endswith(WEIGHT_SUFFIXES)]
    ports = [file for file in weights if file.filename == "model.safetensors"]
    if len(weights) == 1 or ports:
        return (ports or weights)[0]
    if not weights:
        raise NotFoundError(f"{where} holds no file of weights ({', '.join(WEIGHT_SUFFIXES)}).", source=str(wanted))
    shown = ", ".join(file.filename for file in weights[:6]) + (", ..." if len(weights) > 6 else "")
    raise SourceError(
        f"{where} holds {len(weights)} files of weights: {shown}. Say which, as {wanted.repo_id}/FILE.",
        text=str(wanted),
    )


def _confirm_hint(entry: CatalogEntry | None, wanted: HubFile, remote: RemoteFile) -> None:
    """A digest that too few sources agree on is a hint: the Hub's own answer decides, and a contradiction is said."""
    if entry is None or entry.sha256_hint is None or wanted.revision is not None:
        return
    if remote.sha256 is not None and remote.sha256 != entry.sha256_hint:
        log.warning(
            "%s: the catalog's unconfirmed digest %s is not the Hub's own %s; the Hub's is used",
            entry.name,
            entry.sha256_hint,
            remote.sha256,
        )


def _in_the_hubs_own_cache(
    wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store
) -> HubCheckpoint:
    from .. import hub

    damaged = ""
    if wanted.filename is not None:
        found = hub.cached_file(
            wanted.repo_id, wanted.filename, repo_type=wanted.repo_type, revision=_revision(wanted, entry)
        )
        if found is not None:
            with OpenCheckpoint(found.path) as opened:
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


def _stated_there(found: CachedFile, opened: OpenCheckpoint, wanted: HubFile) -> tuple[Stated | None, bool]:
    """What the file says of itself, else the config.json beside it; and whether that may be remembered."""
    from .. import hub

    if (own := stated_by_itself(opened)) is not None:
        return own, True
    beside = str(PurePosixPath(wanted.filename or "").with_name(CONFIG))
    config = hub.cached_file(wanted.repo_id, beside, repo_type=wanted.repo_type, revision=found.commit)
    text = None if config is None else read_config(config.path)
    if config is None or text is None:
        return None, True
    if config.digest is None:
        log.warning("%s: nothing tells whether it is as the Hub has it; it is taken as it is", config.path)
        return stated_in(text, str(config.path)), False
    if config.digest not in (hashlib.sha256(text).hexdigest(), git_sha1_of(text)):
        log.warning("%s is damaged; it is ignored", config.path)
        return None, False
    return stated_in(text, str(config.path)), True


def _is_as_named(found: CachedFile, opened: OpenCheckpoint, content_hash: ContentHash) -> bool:
    """Whether a file of the Hub's own cache is what the Hub called it; the client itself never looks."""
    if found.digest is None:
        log.warning("%s: nothing tells whether it is as the Hub has it; it is taken as it is", found.path)
        return True
    if len(found.digest) == len(content_hash):
        return found.digest == content_hash
    return found.digest == git_sha1_of(opened.whole())


def _found_there(
    found: CachedFile,
    opened: OpenCheckpoint,
    content_hash: ContentHash,
    wanted: HubFile,
    entry: CatalogEntry | None,
    request: Request,
) -> HubCheckpoint:
    """Remembered only where names prove the content: without them, a later call looks again."""
    stated, is_sure = _stated_there(found, opened, wanted) if entry is None else (None, True)
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
        config_asked=entry is None,
        pinned=False,
        ref=FOUND + ref_name(wanted, entry, request) if is_sure and found.digest is not None else None,
        remembered_at=_iso(date_of(found.path.stat().st_mtime)),
    )
