"""`depthhub cache quarantine`: what failed verification, since when and why; with --clear, remove it."""

from __future__ import annotations

import argparse

from ..console import Console
from ..exit_codes import ExitCode
from ..options import add_cache_option
from ..output import age_text, bytes_text, write_json, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "What is not cleared goes with a collection (`cache gc`) that needs the room, or after 30 days."
    parser.add_argument("--clear", action="store_true", help="remove all of it")
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    store = args.settings.open_store()
    found = list(store.set_aside())
    if args.json:
        write_json(found)
    else:
        header = ("NAME", "SIZE", "SET ASIDE", "REASON")
        write_table(header, [(i.path.name, bytes_text(i.bytes), age_text(i.since), i.reason) for i in found])
    if args.clear:
        console.note(f"{bytes_text(store.clear_quarantine())} freed.")
    elif not found:
        console.note(f"The quarantine of {store.root} is empty.")
    return ExitCode.DONE
