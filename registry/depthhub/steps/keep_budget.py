"""The standing budget: what is collected when there is one entry more."""

from __future__ import annotations

import logging

from depthhub_cache.collection import Budget
from depthhub_cache.entry import Entry
from depthhub_cache.store import Store

from .request import Request

log = logging.getLogger("depthhub")


def keep_budget(made: Entry, request: Request, store: Store) -> None:
    """Collect what the standing budget has no room for, now that there is one entry more."""
    settings = request.settings
    if settings.max_size is None and settings.max_age is None:
        return
    collected = store.collect(Budget(max_size=settings.max_size, max_age=settings.max_age), keep=[made.key])
    for decision in collected.freed:
        log.info("collected %s %.12s: %s", decision.item.kind, decision.item.name, decision.why)
