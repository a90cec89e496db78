"""What a source means, without loading it: for people who want to know before they download."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthhub_cache.entry import Entry
from depthhub_cache.identity import ContentHash, Key

from .errors import FamilyError, OfflineError
from .model.config import Build
from .steps.decide import decide
from .steps.find import Wanted, find_sound, want
from .steps.licence import licence_of
from .steps.located import HubCheckpoint, Located
from .steps.request import Request, SourceLike
from .steps.resolve import resolve as locate_checkpoint

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a source means now.

    name: in the catalog. repo_id, repo_type, commit: on the Hub; of a pin whose commit is only a hint, no commit.
    local_path: on this machine. content_hash: sha256 of the checkpoint, None where only a download can tell.
    pinned: by the catalog, so that nobody needs to be asked. remembered_at: when the Hub was asked (ISO 8601, UTC).
    build: family, taps and maximum depth, None where nothing tells (`undecided` says why). key, path: the entry; path
    is None while it is not in the cache. size: bytes of the checkpoint.
    """

    source: str
    name: str | None
    repo_id: str | None
    repo_type: str | None
    filename: str
    commit: str | None
    local_path: Path | None
    content_hash: ContentHash | None
    pinned: bool
    remembered_at: str | None
    size: int | None
    licence: str | None
    licence_note: str | None
    build: Build | None
    undecided: str | None
    key: Key | None
    path: Path | None


def resolve(
    source: SourceLike,
    *,
    revision: str | None = None,
    dtype: torch.dtype | str | None = None,
    family: str | None = None,
    max_depth: float | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    offline: bool | None = None,
    refresh: bool = False,
) -> Resolution:
    """What `source` means. Downloads no weights; asks the Hub only for a branch or tag that nobody remembers.

    Takes the options of `from_pretrained` and raises what it raises, but a family that nothing tells is not an error
    here: `build` is None then.
    """
    request = Request.parse(
        source,
        revision=revision,
        dtype=dtype,
        family=family,
        max_depth=max_depth,
        cache_dir=cache_dir,
        token=token,
        offline=offline,
        refresh=refresh,
    )
    return _resolution(request)


def resolve_here(source: SourceLike, **options: Any) -> Resolution:
    """What `source` means by what is known here. Never uses the network.

    options: those of `locate`. Raises what `resolve` raises, and OfflineError where only the Hub can tell.
    """
    return _resolution(Request.parse(source, asks=False, **options))


def _resolution(request: Request) -> Resolution:
    store = request.settings.open_store()
    located = locate_checkpoint(request, store)
    build, undecided = _build(request, located)
    wanted = want(located, request) if undecided is None else Wanted(located, None, None)
    entry = find_sound(wanted, request, store)
    licence = licence_of(located, located.content_hash, request)
    on_hub = located if isinstance(located, HubCheckpoint) else None
    return Resolution(
        source=located.source,
        name=located.entry.name if located.entry else None,
        repo_id=on_hub.repo_id if on_hub else None,
        repo_type=on_hub.repo_type if on_hub else None,
        filename=located.filename,
        commit=on_hub.known_commit if on_hub else None,
        local_path=None if isinstance(located, HubCheckpoint) else located.path,
        content_hash=located.content_hash,
        pinned=on_hub is not None and on_hub.pinned,
        remembered_at=on_hub.remembered_at if on_hub else None,
        size=located.size,
        licence=licence.name,
        licence_note=licence.note,
        build=build,
        undecided=undecided,
        key=wanted.key,
        path=entry.weights if entry else None,
    )


def locate(
    source: SourceLike,
    *,
    revision: str | None = None,
    dtype: torch.dtype | str | None = None,
    family: str | None = None,
    max_depth: float | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Entry | None:
    """The entry of `source` if it is in the cache, and a load would take it unasked. Never uses the network."""
    request = Request.parse(
        source,
        revision=revision,
        dtype=dtype,
        family=family,
        max_depth=max_depth,
        cache_dir=cache_dir,
        asks=False,
    )
    store = request.settings.open_store()
    try:
        return find_sound(want(locate_checkpoint(request, store), request), request, store)
    except OfflineError:  # only the Hub can tell
        return None


def _build(request: Request, located: Located) -> tuple[Build | None, str | None]:
    if located.content_hash is None:
        told = located.stated.build if located.stated else None
        return (located.entry.build if located.entry else told), None
    try:
        return decide(request, located, located.content_hash).build, None
    except FamilyError as error:
        return None, str(error)
