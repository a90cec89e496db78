"""What `prewarm` would do, and what it would cost, before it does it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from depthhub_cache.identity import Key

from .steps.find import find, want
from .steps.licence import licence_of
from .steps.located import LocalCheckpoint
from .steps.request import Request
from .steps.resolve import resolve as locate_checkpoint

Origin = Literal["cache", "file", "remote", "hub"]
"""Where the weights would come from: they are here; a file of this machine; the remote store; the Hub."""


class Planned(NamedTuple):
    """One source: nothing of it was fetched.

    key: of the entry, None where only a download can tell. bytes: to be fetched, 0 for what is here, None where nobody
    tells. licence: of the weights, None where nobody states one; stated_by: who states it, in words.
    """

    source: str
    origin: Origin
    bytes: int | None
    licence: str | None
    stated_by: str
    key: Key | None


def plan(request: Request) -> Planned:
    """Where the weights of `request` would come from. Asks the Hub, as `resolve` does, for what nobody remembers.

    Raises what `prewarm` raises before it fetches anything.
    """
    store = request.settings.open_store()
    located = locate_checkpoint(request, store)
    wanted = want(located, request)
    licence = licence_of(located, located.content_hash, request)
    origin: Origin = "file" if isinstance(located, LocalCheckpoint) else "hub"
    size: int | None = 0 if origin == "file" else located.size
    if find(wanted, store) is not None:
        origin, size = "cache", 0
    elif origin == "hub" and wanted.key is not None and request.settings.remote is not None:
        from .steps.from_remote import size_in_remote

        there = size_in_remote(wanted.key, request.settings)
        origin, size = ("hub", size) if there is None else ("remote", there)
    return Planned(str(request.source), origin, size, licence.name, licence.stated_by, wanted.key)
