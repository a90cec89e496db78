"""Room on the disk: what is needed before something is written, and the standing budget that is kept after."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from depthhub_cache.collection import Budget
from depthhub_cache.errors import NoSpaceError
from depthhub_cache.identity import Key
from depthhub_cache.store import Store

from .request import Request

log = logging.getLogger("depthhub")


def require_room(needed: int, request: Request, store: Store) -> None:
    """Raises NoSpaceError where `needed` bytes have no room, and keeping the standing budget makes none."""
    try:
        store.require_space(needed)
    except NoSpaceError:
        if not keep_budget(request, store):
            raise
        store.require_space(needed)


def keep_budget(request: Request, store: Store, *, keep: Sequence[Key] = ()) -> int:
    """Collect what the standing budget has no room for; bytes freed. keep: keys that stay."""
    budget = Budget(max_size=request.settings.max_size, max_age=request.settings.max_age)
    if budget == Budget():
        return 0
    collected = store.collect(budget, keep=keep)
    for decision in collected.freed:
        log.info("collected %s %.12s: %s", decision.item.kind, decision.item.name, decision.why)
    if budget.max_size is not None and collected.bytes > budget.max_size:
        log.warning(
            "the cache %s holds %s bytes, more than its budget of %s: what is in use, pinned or just made stays",
            *(store.root, f"{collected.bytes:,}", f"{budget.max_size:,}"),
        )
    return collected.freed_bytes
