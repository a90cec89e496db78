"""The story: from what a user writes to a ready model. Each step is one call into `steps/`.

A hit opens and maps one file: no lock, no write, no network, and no import of the Hub's client.
`prewarming.py` tells the same story of many sources, without its last step.
"""

import hashlib
import logging
import os
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from depthhub_cache.entry import Entry
from depthhub_cache.identity import ContentHash, Key, make_key
from depthhub_cache.leases import Lease
from depthhub_cache.store import Store

from .checkpoint.recipe import Recipe
from .errors import BrokenEntryError
from .garbage import collection_paused
from .progress import Progress, Report
from .steps.decide import decide
from .steps.find import Wanted, find_sound, learned, want
from .steps.located import Located
from .steps.request import Request, SourceLike
from .steps.resolve import resolve as locate_checkpoint

if TYPE_CHECKING:
    import torch

    from .depth_model import DepthModel

log = logging.getLogger("depthhub")

_ATTEMPTS = 3
"""To open an entry: as it is found, once more as it is found, and made again."""


def from_pretrained(
    source: SourceLike,
    *,
    revision: str | None = None,
    device: "torch.device | str" = "cpu",
    dtype: "torch.dtype | str | None" = None,
    family: str | None = None,
    max_depth: float | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    offline: bool | None = None,
    lockfile: str | os.PathLike[str] | None = None,
    refresh: bool = False,
    verify: bool = False,
    progress: Report | None = None,
) -> "DepthModel":
    """A ready Depth-Anything model, in eval mode.

    source: a catalog name (`vitl`), `owner/repo[/file][@revision]`, `hf://...`, or a local path.
    revision: branch, tag or commit on the Hub. device: where the parameters go.
    dtype: float32, float16 or bfloat16; None keeps the checkpoint's own.
    family: `v1`, `v2` or `v2-metric`, max_depth: metres; needed only where neither the catalog, the content hash nor
        a config.json says how to build the model.
    cache_dir: root of the cache (else `DEPTHHUB_CACHE`, else the platform's cache folder); as a text it may name
        further roots that are only read, separated as in PATH.
    token: for gated or private repositories; None leaves it to the Hub's client. offline: use no network.
    lockfile: nothing is loaded but what is written there, to the byte (else `DEPTHHUB_LOCKFILE`).
    refresh: ask the Hub again what a branch or tag points to.
    verify: read every byte of the entry before it is used; the quick check, of all but the numbers, is always done.
    progress: called with `depthhub.progress.Progress`.

    Raises a DepthHubError that says what was asked, what was found and what to do next.
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
        lockfile=lockfile,
        refresh=refresh,
        verify=verify,
        progress=progress,
    )
    with collection_paused():
        from .steps.build import usable_device

    return _opened(request, request.settings.open_store(), usable_device(device))


class Ensured(NamedTuple):
    """The entry of what was located, and this process's lease of it. `cached`: it was there before."""

    entry: Entry
    located: Located
    lease: Lease
    cached: bool


def ensure_entry(request: Request, store: Store) -> Ensured:
    """The entry of what was asked: found, or made by exactly one of those who ask at the same time."""
    wanted = want(locate_checkpoint(request, store), request)
    if entry := find_sound(wanted, request, store):
        return Ensured(entry, wanted.located, store.lease(entry), cached=True)

    from .steps.room import keep_budget

    def waiting(whom: str) -> None:
        request.report(Progress(wanted.located.source, "waiting", detail=whom))

    with store.lock(wanted.key or _provisional_key(wanted.located), on_wait=waiting):
        if wanted.key is None:  # whoever held the lock may have learned the content hash
            wanted = want(locate_checkpoint(request, store), request)
        if entry := find_sound(wanted, request, store):
            return Ensured(entry, wanted.located, store.lease(entry), cached=True)
        if fetched := _fetched(wanted, request, store):
            keep_budget(request, store, keep=[fetched.entry.key])
            return fetched
        with collection_paused():
            from .steps.make import make
            from .steps.obtain import obtain, require_obtainable

        require_obtainable(wanted.located, request, store)
        with store.stage() as staging, obtain(wanted.located, request, store, staging) as obtained:
            recipe, there = wanted.recipe, None
            if recipe is None:
                recipe = _recipe_of(obtained.content_hash, wanted.located, request)
                wanted = learned(wanted.located, obtained.content_hash, recipe)
                there = find_sound(wanted, request, store)  # the same file under another name
            lease = store.lease(make_key(obtained.content_hash, recipe.to_json()))
            with lease.unless_failed():
                entry = there or make(obtained, wanted.located, recipe, request, store, staging)
        store.sweep()  # what processes that died have left
    keep_budget(request, store, keep=[entry.key])
    return Ensured(entry, wanted.located, lease, cached=there is not None)


def _fetched(wanted: Wanted, request: Request, store: Store) -> Ensured | None:
    """The entry out of a remote store, if there is one that has it."""
    if request.settings.remote is None or wanted.key is None:
        return None
    from .steps.from_remote import from_remote

    there = from_remote(wanted, request, store)
    return Ensured(*there, cached=False) if there else None


def _recipe_of(content_hash: ContentHash, located: Located, request: Request) -> Recipe:
    """Of a checkpoint whose content hash a download has told: what the catalog knows by it counts from now on."""
    if request.settings.allow_licences is not None:
        from .steps.licence import require_licence

        require_licence(located, content_hash, request)
    return decide(request, located, content_hash)


def _opened(request: Request, store: Store, device: str) -> "DepthModel":
    """The model of the entry that was asked for. What is damaged is set aside, and made again."""
    from .steps.build import build, should_map

    with ExitStack() as failed:
        for attempt in range(_ATTEMPTS):
            entry, located, lease, _ = ensure_entry(request, store)
            try:
                model = build(entry, located, request, device, mapped=should_map(entry, request, store))
            except BrokenEntryError as error:
                failed.callback(lease.release)  # not sooner: it keeps a collection away from the next attempt
                if attempt == _ATTEMPTS - 1:
                    raise
                if attempt > 0:  # the first time a collection may have had it in its hands, and has put it back
                    store.distrust(entry, error.reason)
                    request = _without_remote(request)  # where it may come from
            except BaseException:
                lease.release()
                raise
            else:
                weakref.finalize(model, lease.release)
                return model
    raise AssertionError("the last attempt returns or raises")


def _without_remote(request: Request) -> Request:
    return request._replace(settings=request.settings._replace(remote=None))


def _provisional_key(located: Located) -> Key:
    """What to lock while only a download can tell the content hash, and so the entry's key."""
    return Key(hashlib.sha256(located.source.encode()).hexdigest())
