"""`depthhub cache list`: the entries of the cache."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import BrokenEntryError, CacheError
from ..console import Console, error_json
from ..exit_codes import ExitCode
from ..in_cache import fact_of, name_of, name_of_broken, recipe_of, report_hidden, require_visible
from ..options import add_cache_option
from ..output import age_text, build_text, bytes_text, write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.entry import Entry
    from depthhub_cache.identity import Key
    from depthhub_cache.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "It ends with 0, also where there are none, or where some are broken (`depthhub verify` is the check); with 8 "
        "where some cannot be read, and lists the others."
    )
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    store = args.settings.open_store()
    require_visible(store)
    entries = sorted(store.entries(), key=lambda entry: (name_of(entry), entry.key))
    broken = list(_broken(store, {entry.key for entry in entries}))
    if args.json:
        damaged = [{"key": error.path.name, "path": error.path, "error": error_json(error)} for error in broken]
        write_json([*(_facts(entry, store) for entry in entries), *damaged])
    else:
        header = ("NAME", "BUILD", "DTYPE", "SIZE", "LICENCE", "KEY", "LAST USED", "STATE")
        damaged_rows = [
            (name_of_broken(error.path), None, None, None, None, error.path.name[:12], None, "broken")
            for error in broken
        ]
        write_table(header, [*(_row(entry, store) for entry in entries), *damaged_rows])
    code = report_hidden(store, console)
    if not entries and not broken and code is ExitCode.DONE:
        console.note(f"The cache {store.root} is empty.")
    return code


def _broken(store: Store, whole: Collection[Key]) -> Iterator[BrokenEntryError]:
    """What is wrong with those that are there, and that no load would be given, from any tier."""
    for key in store.keys():  # noqa: SIM118  it is no dict
        if key not in whole:
            try:
                store.verify(key, deep=False)
            except BrokenEntryError as error:
                yield error
            except CacheError:
                continue  # told as what cannot be read


def _facts(entry: Entry, store: Store) -> dict[str, Any]:
    facts = {"key": entry.key, "path": entry.weights, "record": entry.record}
    return {**facts, "last_used": store.last_use(entry.key).isoformat(timespec="seconds"), "held": _state(entry, store)}


def _row(entry: Entry, store: Store) -> tuple[str | None, ...]:
    recipe = recipe_of(entry)
    return (
        name_of(entry),
        build_text(recipe.build) if recipe else None,
        (recipe.dtype or "as released") if recipe else None,
        bytes_text(entry.record.weights_size),
        fact_of(entry, "licence") or "unknown",
        entry.key[:12],
        age_text(store.last_use(entry.key).isoformat()) if _is_own(entry, store) else None,
        _state(entry, store),
    )


def _state(entry: Entry, store: Store) -> str | None:
    """What keeps an entry from being collected; where it lies, if that is a tier below."""
    if not _is_own(entry, store):
        return f"read only, in {entry.path.parents[3]}"
    return store.why_held(entry.key)


def _is_own(entry: Entry, store: Store) -> bool:
    return entry.path == store.tiers[0].entry_folder(entry.key)
