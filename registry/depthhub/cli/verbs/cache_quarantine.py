"""`depthhub cache quarantine`: what failed verification, since when and why; with --clear, remove it."""

from __future__ import annotations

import argparse

from ...errors import CacheError
from ..console import Console
from ..exit_codes import ExitCode, common_exit_code
from ..options import add_cache_option
from ..output import age_text, bytes_text, write_json, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "What is not cleared goes with a collection (`cache gc`) that needs the room, or after 30 days."
    parser.add_argument("--clear", action="store_true", help="remove all of it")
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    from depthhub_cache.hidden import hidden_folders

    store = args.settings.open_store()
    found = list(store.set_aside())
    if args.json:
        write_json(found)
    else:
        header = ("NAME", "SIZE", "SET ASIDE", "REASON")
        write_table(header, [(i.path.name, bytes_text(i.bytes), age_text(i.since), i.reason) for i in found])
    errors = list(hidden_folders(store.tiers[0].folder("quarantine"), levels=0))
    if args.clear:
        console.note(f"{bytes_text(store.clear_quarantine())} freed.")
        errors += [CacheError(f"{item.path} cannot be removed.", path=item.path) for item in store.set_aside()]
    elif not found and not errors:
        console.note(f"The quarantine of {store.root} is empty.")
    return common_exit_code([console.failure(error) for error in errors])
