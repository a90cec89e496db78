"""`depthhub cache info`: where the cache is, what it holds, and what it takes of the disk."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ...settings import Settings
from ..console import Console
from ..exit_codes import ExitCode
from ..in_cache import report_hidden, repository_of, require_visible
from ..options import add_cache_option
from ..output import Cell, bytes_text, to_json, write_facts, write_json

if TYPE_CHECKING:
    from depthhub_cache.store import Store
    from depthhub_cache.tier import Tier
    from depthhub_cache.usage import Area, Usage

    from ...hub import ClientCache


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    settings: Settings = args.settings
    store = settings.open_store()
    require_visible(store)
    usage, clients = store.usage(), _client_cache(store)
    below = {str(tier.root): _below(tier) for tier in store.tiers[1:]}
    if args.json:
        budget = {"max_size": settings.max_size, "max_age": settings.max_age}
        facts = {"path": store.root, "bytes": usage.bytes, **to_json(usage), "below": below, "budget": budget}
        write_json({**facts, "client_cache": to_json(clients)})
    else:
        write_facts(_facts(store, usage, below, clients, settings))
    return report_hidden(store, console)


def _client_cache(store: Store) -> ClientCache | None:
    """What the Hub's own client has kept of the repositories that our entries were made from, if there are any."""
    repositories = {found for entry in store.entries() if (found := repository_of(entry))}
    if not repositories:
        return None
    from ... import hub

    return hub.client_cache(repositories)


def _facts(
    store: Store, usage: Usage, below: dict[str, int | None], clients: ClientCache | None, settings: Settings
) -> dict[str, Cell]:
    facts: dict[str, Cell] = {
        "path": store.root,
        "in all": bytes_text(usage.bytes),
        "entries": _text(usage.entries) + (f", {usage.pinned} pinned" if usage.pinned else ""),
        "kept checkpoints": _text(usage.checkpoints),
        "refs": _text(usage.refs),
        "quarantine": _text(usage.quarantine),
        "under way": _text(usage.staging),
        "rubbish": _text(usage.rubbish),
        "free": bytes_text(usage.free),
        "budget": bytes_text(settings.max_size),
        "longest unused": None if settings.max_age is None else f"{settings.max_age / 86400:g} days",
        "the Hub's own cache": f"{bytes_text(clients.bytes)} of the same repositories in {clients.path}"
        if clients
        else None,
    }
    for root, count in below.items():
        facts[f"below: {root}"] = "not there, or hidden" if count is None else f"entries {count}, read only"
    return facts


def _below(tier: Tier) -> int | None:
    """How many entries a tier has that is only read; None where it is not there, likely mistyped, or hidden."""
    try:
        os.scandir(tier.root).close()
    except OSError:
        return None
    return sum(1 for _ in tier.keys())  # noqa: SIM118  it is no dict


def _text(area: Area) -> str:
    return f"{area.count} ({bytes_text(area.bytes)})" if area.count else "none"
