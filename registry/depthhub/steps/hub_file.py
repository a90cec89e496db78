"""A checkpoint on the Hub that nobody has a pin for: a remembered answer, or one question."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from depthhub_cache.identity import ContentHash
from depthhub_cache.store import Store

from ..catalog import CatalogEntry
from ..errors import NotFoundError, OfflineError, SourceError
from ..hub_names import DEFAULT_REVISION, FURTHER_WEIGHT_SUFFIXES, OTHER_SUFFIXES, WEIGHT_SUFFIXES
from ..progress import Progress
from ..source import HubFile
from .located import HubCheckpoint
from .remembered import Earlier, iso, known_to_the_catalog, recall, ref_name, remember, revision_of
from .request import Request
from .stated import CONFIG, LIMIT, Stated, stated_in, unread

if TYPE_CHECKING:
    from ..hub import Listing, RemoteFile

log = logging.getLogger("depthhub")

_FRACTION = 4
"""A file of a quarter of a checkpoint's size may be one, too: beside the numbers of Adam it has three times as many."""


def ask_once(wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store) -> HubCheckpoint:
    """A branch, a tag or a file that the catalog has no pin for: remembered, or asked for once."""
    if request.settings.offline:
        from .client_cache import without_asking

        return without_asking(wanted, entry, request, store)
    ref = ref_name(wanted, entry, request)
    remembered = None if request.refresh else recall(ref, wanted, entry, request, store)
    if remembered is not None and _suffices(remembered, request):
        return remembered
    if not request.asks:
        raise OfflineError(f"{request.source}: only the Hub can tell what it is now.", source=str(request.source))
    earlier = Earlier(wanted, entry, request, store)
    request.report(Progress(str(request.source), "resolving"))
    if remembered is not None and (located := _completed(remembered, request)):
        if request.remembers and earlier.stands(ref):
            remember(located, store)
        return located
    listing = _list(wanted, entry, request)
    try:
        remote = _choose(listing, wanted, revision_of(wanted, entry, request))
    except (NotFoundError, SourceError):
        if request.remembers:
            earlier.is_over()
        raise
    known = entry or known_to_the_catalog(wanted, remote.filename, request)
    _confirm_hint(known, wanted, remote)
    located = earlier.with_its_digest(_located(listing, remote, known, request, ref))
    log.info("the Hub names commit %.12s, sha256 %.12s", located.commit, located.content_hash or "not told")
    if request.remembers and earlier.stands(ref):
        means_it = _is_all_there_is(listing, located.filename, wanted, revision_of(wanted, entry, request))
        earlier.give_way(located, means_it)
    return located


def _is_all_there_is(listing: Listing, filename: str, wanted: HubFile, revision: str) -> bool:
    """Whether the repository, without the name of a file, means this one."""
    try:
        return _choose(listing, wanted._replace(filename=None), revision).filename == filename
    except (NotFoundError, SourceError):
        return False


def _suffices(remembered: HubCheckpoint, request: Request) -> bool:
    """Whether all was asked then that this call has to know."""
    is_known = remembered.entry is not None
    needs_card = not is_known and request.settings.allow_licences is not None
    return (remembered.config_asked or is_known) and (remembered.card_asked or not needs_card)


def _completed(remembered: HubCheckpoint, request: Request) -> HubCheckpoint | None:
    """What was not asked then, of the commit that was named then: nobody asks whether that has changed.

    None where the commit is gone.
    """
    from .. import hub

    where = HubFile(remembered.repo_id, remembered.filename, remembered.commit, remembered.repo_type)
    try:
        listing = hub.list_files(
            where.repo_id, repo_type=where.repo_type, revision=remembered.commit, settings=request.settings
        )
        remote = _choose(listing, where, remembered.commit)
    except NotFoundError as error:
        log.warning("%s: what was remembered of it is gone, and is asked for anew: %s", request.source, error)
        return None
    located = _located(listing, remote, remembered.entry, request, remembered.ref)
    known = located.content_hash or remembered.content_hash  # a download may have told what the Hub does not
    return located._replace(content_hash=known, remembered_at=remembered.remembered_at)


def _located(
    listing: Listing, remote: RemoteFile, entry: CatalogEntry | None, request: Request, ref: str | None
) -> HubCheckpoint:
    """What the Hub says of the file, and of the config.json beside it."""
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
        ref=ref,
        remembered_at=iso(datetime.now(timezone.utc)),
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
        return unread("it is larger than one can be")
    if config.sha256 is None and config.git_sha1 is None:
        log.warning("%s: the Hub tells no digest of its %s, which is taken as it comes", request.source, CONFIG)
    return stated_in(hub.read_small_file(config, settings=request.settings, limit=LIMIT))


def _list(wanted: HubFile, entry: CatalogEntry | None, request: Request) -> Listing:
    from .. import hub

    def files_at(revision: str) -> Listing:
        return hub.list_files(wanted.repo_id, repo_type=wanted.repo_type, revision=revision, settings=request.settings)

    revision = revision_of(wanted, entry, request)
    try:
        return files_at(revision)
    except NotFoundError:
        if revision in (wanted.revision, DEFAULT_REVISION):
            raise
    log.warning("%s: the commit that the catalog suggests is gone; taking %s", request.source, DEFAULT_REVISION)
    return files_at(DEFAULT_REVISION)


def _choose(listing: Listing, wanted: HubFile, revision: str) -> RemoteFile:
    where = f"{listing.repo_id} at {revision}"
    if wanted.filename is not None:
        for file in listing.files:
            if file.filename == wanted.filename:
                return file
        import difflib  # only a mistake needs it

        names = [file.filename for file in listing.files]
        near = difflib.get_close_matches(wanted.filename, names, n=3, cutoff=0.4)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise NotFoundError(f"{where} has no file {wanted.filename}.{hint}", source=str(wanted), suggestions=near)
    weights = [file for file in listing.files if _is_of_weights(file.filename)]
    beside = [name for name in listing.unusable if name.lower().endswith(WEIGHT_SUFFIXES + FURTHER_WEIGHT_SUFFIXES)]
    further = [file for file in listing.files if file not in weights and _may_be_weights(file, weights)]
    ports = [file for file in weights if file.filename == "model.safetensors"]
    if ports or (len(weights) == 1 and not beside and not further):
        return (ports or weights)[0]
    if not weights and not further:
        raise NotFoundError(f"{where} holds no file of weights ({', '.join(WEIGHT_SUFFIXES)}).", source=str(wanted))
    named = [file.filename for file in (*weights, *further)]
    shown = ", ".join(named[:6]) + (", ..." if len(named) > 6 else "")
    raise SourceError(
        f"{where} holds {len(named) + len(beside)} files of weights: {shown}. Say which, as {wanted.repo_id}/FILE.",
        text=str(wanted),
    )


def _is_of_weights(name: str) -> bool:
    return name.lower().endswith(WEIGHT_SUFFIXES)


def _may_be_weights(file: RemoteFile, weights: list[RemoteFile]) -> bool:
    """By its name, or by its size: a checkpoint may be called anything."""
    name = file.filename.lower()
    least = min((one.size for one in weights if one.size), default=None)
    is_as_large = least is not None and (file.size or 0) * _FRACTION >= least
    return name.endswith(FURTHER_WEIGHT_SUFFIXES) or (is_as_large and not name.endswith(OTHER_SUFFIXES))


def _confirm_hint(entry: CatalogEntry | None, wanted: HubFile, remote: RemoteFile) -> None:
    """A digest that too few sources agree on is a hint: the Hub's own answer decides, and a contradiction is said."""
    if entry is None or entry.sha256_hint is None or wanted.revision not in (None, entry.revision):
        return
    if remote.sha256 is not None and remote.sha256 != entry.sha256_hint:
        log.warning(
            "%s: the catalog's unconfirmed digest %s is not the Hub's own %s; the Hub's is used",
            entry.name,
            entry.sha256_hint,
            remote.sha256,
        )
