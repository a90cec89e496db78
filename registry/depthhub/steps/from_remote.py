"""The remote tier: a shared store of entries, asked before the Hub, and filled by those who may.

Whatever it does wrong costs time: the Hub is asked then, unless the settings say never to.
"""

from __future__ import annotations

import logging
from pathlib import Path

from depthhub_cache.entry import Entry
from depthhub_cache.leases import Lease
from depthhub_cache.record import Record
from depthhub_cache.remote import RemoteStore
from depthhub_cache.store import Store

from ..checkpoint.header import read_header
from ..checkpoint.recipe import Recipe
from ..errors import (
    CheckpointError,
    IntegrityError,
    NoSpaceError,
    NotFoundError,
    RemoteError,
    RemoteSetupError,
    SettingsError,
)
from ..progress import Progress
from ..provenance import require_facts
from ..settings import Settings
from .find import Wanted, as_wanted, require_promised_entry
from .located import LocalCheckpoint, Located
from .locked import require_locked_weights
from .request import Request

log = logging.getLogger("depthhub")


def from_remote(wanted: Wanted, request: Request, store: Store) -> tuple[Entry, Located, Lease] | None:
    """The wanted entry, fetched, verified against its record and published here; None where it is to be made.

    Raises NotFoundError where the store has not got it and the Hub may not be asked, RemoteError where it fails then,
    and RemoteSetupError where its address cannot be one.
    """
    remote, key = _asked_for(wanted, request.settings), wanted.key
    if remote is None or key is None:
        return None
    lease = store.lease(key)
    with lease.unless_failed():
        try:
            entry = remote.fetch(
                key,
                store,
                check=lambda record: _require_the_wanted(record, wanted, request),
                check_weights=lambda path: _require_own_header(path, wanted),
                progress=lambda done, total: request.report(Progress(wanted.located.source, "fetching", done, total)),
            )
        except RemoteSetupError:
            raise
        except (RemoteError, IntegrityError, NoSpaceError) as error:  # how much room it needs, the store alone says
            if not request.settings.hub_fallback:
                raise
            log.warning("%s: %s The Hub is asked.", wanted.located.source, error)
            entry = None
        if entry is not None:
            entry = as_wanted(entry, request, store)
            require_promised_entry(entry, wanted.located, request)
            log.info("fetched and verified %s bytes from %s", f"{entry.record.weights_size:,}", remote.where)
            return entry, wanted.located, lease
        if not request.settings.hub_fallback:
            raise not_in(remote, wanted)
    lease.release()
    return None


def push(entry: Entry, request: Request) -> bool:
    """Put an entry into the remote store; whether it was not there.

    Raises RemoteError; IntegrityError where it has other weights than the locked ones; SettingsError where there is no
    such store.
    """
    source = str(request.source)

    def progress(done: int, total: int) -> None:
        request.report(Progress(source, "pushing", done, total))

    return (
        _named(request.settings).push(entry, check=lambda there: _require_the_locked(there, request), progress=progress)
        == "pushed"
    )


def size_in_remote(wanted: Wanted, settings: Settings) -> int | None:
    """Bytes of the converted weights that the remote store has of the wanted entry; None where the Hub is to be asked.

    Raises what `from_remote` raises before it fetches anything.
    """
    remote, key = _asked_for(wanted, settings), wanted.key
    if remote is None or key is None:
        return None
    try:
        record = remote.record(key)
    except RemoteSetupError:
        raise
    except RemoteError as error:
        if not settings.hub_fallback:
            raise
        log.warning("%s", error)
        return None
    if record is None and not settings.hub_fallback:
        raise not_in(remote, wanted)
    return None if record is None else record.weights_size


def not_in(remote: RemoteStore, wanted: Wanted) -> NotFoundError:
    source = wanted.located.source
    return NotFoundError(
        f"{source} (entry {str(wanted.key)[:12]}) is not in {remote.where}, and the Hub may not be asked "
        "(DEPTHHUB_HUB_FALLBACK=0). Let a job that may fill it run `depthhub pull --push` with the same options.",
        source=source,
    )


def require_writable(settings: Settings) -> None:
    """Raises SettingsError where there is no remote store to push to, RemoteSetupError where it can only be read."""
    _named(settings).require_writable()


def _named(settings: Settings) -> RemoteStore:
    remote = remote_store(settings)
    if remote is None:
        raise SettingsError(
            "There is no remote store to push to: name one with DEPTHHUB_REMOTE.", variable="DEPTHHUB_REMOTE", value=""
        )
    return remote


def _asked_for(wanted: Wanted, settings: Settings) -> RemoteStore | None:
    """The store that is asked for the wanted entry. For a file of this machine none is: its entry is made of it."""
    remote = remote_store(settings)
    if remote is None or isinstance(wanted.located, LocalCheckpoint):
        return None
    return None if settings.offline and remote.is_on_a_network else remote


def remote_store(settings: Settings) -> RemoteStore | None:
    """The store that these settings name."""
    if settings.remote is None:
        return None
    return RemoteStore(
        settings.remote,
        connect_timeout=settings.connect_timeout,
        stall_timeout=settings.stall_timeout,
        total_timeout=settings.total_timeout,
    )


def _require_the_wanted(record: Record, wanted: Wanted, request: Request) -> None:
    """Raises IntegrityError where a record is of other weights than those that were asked for, or are locked."""
    about, located = record.about, wanted.located
    try:
        require_facts(record)
        recipe = Recipe.from_json(about["recipe"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _other(wanted, f"its record lacks something, or says what cannot be ({error})", None) from error
    if (about["content_hash"], recipe) != (located.content_hash, wanted.recipe):
        raise _other(wanted, "it was made of another checkpoint, or in another way", about["content_hash"])
    _require_the_locked(record, request)


def _require_the_locked(record: Record, request: Request) -> None:
    if request.lock is not None:
        remedy = f"remove {record.key}.json from there, and push again"
        require_locked_weights(request.lock, record.key, record.weights_sha256, request, "the remote store", remedy)


def _require_own_header(path: Path, wanted: Wanted) -> None:
    """Raises IntegrityError where the converted file itself says that it is another one."""
    try:
        header = read_header(path)
    except CheckpointError as error:
        raise _other(wanted, f"its file is none of ours: {error}", None) from error
    if (header.content_hash, header.recipe) != (wanted.located.content_hash, wanted.recipe):
        raise _other(wanted, "its weights are those of another entry", header.content_hash)


def _other(wanted: Wanted, what: str, found: object) -> IntegrityError:
    source = wanted.located.source
    return IntegrityError(
        f"{source}: what the remote store has as entry {str(wanted.key)[:12]} is not used: {what}.",
        source=source,
        expected=str(wanted.located.content_hash),
        found=str(found),
    )
