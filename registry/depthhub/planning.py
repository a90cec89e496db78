"""What `prewarm` would do, and what it would cost, before it does it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from depthhub_cache.identity import Key
from depthhub_cache.store import Store

from .steps.find import Wanted, find_sound, want
from .steps.licence import licence_of
from .steps.located import HubCheckpoint
from .steps.request import Request
from .steps.resolve import resolve as locate_checkpoint

Origin = Literal["cache", "file", "remote", "copy", "hub"]
"""Where the weights would come from: they are here; a file of this machine; the remote store; a copy of the checkpoint
that is on this machine, if it turns out to be sound; the Hub.
"""


class Planned(NamedTuple):
    """One source: nothing of it was fetched.

    key: of the entry, None where only a download can tell. bytes: to be fetched, without those that an earlier download
    has left here, 0 for what is here, None where nobody tells. licence: of the weights, None where nobody states one;
    stated_by: who states it, in words.
    """

    source: str
    origin: Origin
    bytes: int | None
    licence: str | None
    stated_by: str
    key: Key | None


def plan(request: Request) -> Planned:
    """Where the weights of `request` would come from. Asks the Hub, as `resolve` does, for what nobody remembers.

    What it says is remembered no longer than this call. Raises what `prewarm` raises before it fetches anything.
    """
    request = request._replace(remembers=False)
    store = request.settings.open_store()
    located = locate_checkpoint(request, store)
    wanted = want(located, request)
    licence = licence_of(located, located.content_hash, request)
    origin, size = _origin(wanted, request, store)
    return Planned(str(request.source), origin, size, licence.name, licence.stated_by, wanted.key)


def _origin(wanted: Wanted, request: Request, store: Store) -> tuple[Origin, int | None]:
    """Where from, and how many bytes; in the order of `ensure_entry`."""
    located = wanted.located
    if find_sound(wanted, request, store) is not None:
        return "cache", 0
    if not isinstance(located, HubCheckpoint):
        return "file", 0
    if request.settings.remote is not None and wanted.key is not None:
        from .steps.from_remote import size_in_remote

        there = size_in_remote(wanted, request.settings)
        if there is not None:
            return "remote", there
    from .steps.obtain import copies, part_name, require_network

    if any(copies(located, store)):
        return "copy", 0
    require_network(located, request)
    name = part_name(located)
    begun = max(map(_size_of, store.abandoned(name)), default=0) if located.content_hash else 0
    return "hub", None if located.size is None else located.size - min(begun, located.size)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # somebody has swept it
        return 0
