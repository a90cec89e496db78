"""The remote tier: a shared store of entries, asked before the Hub, and filled by those who may.

Whatever it does wrong costs time: the Hub is asked then, unless the settings say never to.
"""

from __future__ import annotations

import logging

from depthhub_cache.entry import Entry
from depthhub_cache.identity import Key
from depthhub_cache.leases import Lease
from depthhub_cache.record import Record
from depthhub_cache.remote import RemoteStore
from depthhub_cache.store import Store

from ..checkpoint.recipe import Recipe
from ..errors import IntegrityError, NotFoundError, RemoteError, RemoteSetupError, SettingsError
from ..progress import Progress
from ..settings import Settings
from .find import Wanted
from .located import Located
from .locked import require_locked_weights
from .request import Request

log = logging.getLogger("depthhub")


def from_remote(wanted: Wanted, request: Request, store: Store) -> tuple[Entry, Located, Lease] | None:
    """The wanted entry, fetched, verified against its record and published here; None where the Hub is to be asked.

    Raises NotFoundError where the store has not got it and the Hub may not be asked, RemoteError where it fails then,
    and RemoteSetupError where its address cannot be one.
    """
    remote, key = remote_store(request.settings), wanted.key
    if remote is None or key is None or (request.settings.offline and remote.is_on_a_network):
        return None
    lease = store.lease(key)
    with lease.unless_failed():
        try:
            entry = remote.fetch(
                key,
                store,
                check=lambda record: _require_the_wanted(record, wanted, request),
                progress=lambda done, total: request.report(Progress(wanted.located.source, "fetching", done, total)),
            )
        except RemoteSetupError:
            raise
        except (RemoteError, IntegrityError) as error:
            if not request.settings.hub_fallback:
                raise
            log.warning("%s: %s The Hub is asked.", wanted.located.source, error)
            entry = None
        if entry is not None:
            log.info("fetched and verified %s bytes from %s", f"{entry.record.weights_size:,}", remote.where)
            return entry, wanted.located, lease
        if not request.settings.hub_fallback:
            raise NotFoundError(
                f"{wanted.located.source} (entry {key[:12]}) is not in {remote.where}, and the Hub may not be asked "
                "(DEPTHHUB_HUB_FALLBACK=0). Let a job that may fill it run `depthhub pull --push` with the same "
                "options.",
                source=wanted.located.source,
            )
    lease.release()
    return None


def push(entry: Entry, request: Request) -> bool:
    """Put an entry into the remote store; whether it was not there.

    Raises RemoteError, and SettingsError where there is no such store.
    """
    remote = remote_store(request.settings)
    if remote is None:
        raise SettingsError(
            "There is no remote store to push to: name one with DEPTHHUB_REMOTE.", variable="DEPTHHUB_REMOTE", value=""
        )
    source = str(request.source)
    state = remote.push(entry, progress=lambda done, total: request.report(Progress(source, "pushing", done, total)))
    return state == "pushed"


def size_in_remote(key: Key, settings: Settings) -> int | None:
    """Bytes of the converted weights that the remote store has under `key`; None where it has none, or fails."""
    remote = remote_store(settings)
    try:
        record = None if remote is None else remote.record(key)
    except RemoteSetupError:
        raise
    except RemoteError as error:
        log.warning("%s", error)
        return None
    return None if record is None else record.weights_size


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
    about, located, recipe = record.about, wanted.located, wanted.recipe
    found = (about.get("content_hash"), _recipe(about.get("recipe")))
    if found != (located.content_hash, recipe):
        raise IntegrityError(
            f"{located.source}: what the remote store has as entry {record.key[:12]} was made of another checkpoint, "
            "or in another way.",
            source=located.source,
            expected=str(located.content_hash),
            found=str(found[0]),
        )
    if request.lock is not None:
        require_locked_weights(request.lock, record.key, record.weights_sha256, request, "the remote store")


def _recipe(data: object) -> Recipe | None:
    try:
        return Recipe.from_json(data)  # type: ignore[arg-type]  # whatever it is, that is asked here
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
