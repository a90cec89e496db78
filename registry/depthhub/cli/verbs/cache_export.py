"""`depthhub cache export`: entries as one file, for machines without a network."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ...errors import NotFoundError
from ..console import Console
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..in_cache import fact_of, key_of_text, name_of, require_all_visible
from ..options import add_entries_argument, add_source_options, local_options, path_of
from ..output import bytes_text, printable, write_facts, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_entries_argument(parser, nargs="*")
    parser.add_argument("--all", action="store_true", help="every entry")
    parser.add_argument("-o", "--out", required=True, type=path_of, metavar="OUT.tar", help="the file to write")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")
    add_source_options(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    """All that was asked for, or nothing: half a bundle would only be missed where it arrives."""
    if args.all == bool(args.targets):
        raise UsageError("Say which entries to export, or --all for every one.")
    _check_output(args.out, force=args.force)
    from ...bundles import export_entries
    from ...lockfile import Lockfile

    store = args.settings.open_store()
    if args.all:
        require_all_visible(store)
    keys = [key_of_text(target, store, **local_options(args)) for target in args.targets] or list(store.keys())
    if not keys:
        raise NotFoundError(f"The cache {store.root} is empty: there is nothing to export.", source=str(store.root))
    path = args.settings.lockfile
    lock = None if path is None else Lockfile.read(path)
    with console.progress() as bar:
        try:
            made = export_entries(store, keys, args.out, lock=lock, replace=args.force, progress=bar.report)
        except FileExistsError as error:
            raise _is_there(args.out) from error
    if args.json:
        entries = [
            {
                "key": entry.key,
                "name": name_of(entry),
                "size": entry.record.weights_size,
                "licence": fact_of(entry, "licence"),
            }
            for entry in made.entries
        ]
        write_json({"path": args.out, "size": made.size, "sha256": made.sha256, "entries": entries, "refs": made.refs})
    else:
        write_facts(
            {
                "path": args.out,
                "size": bytes_text(made.size),
                "sha256": made.sha256,
                "entries": ", ".join(map(name_of, made.entries)),
                "licences": ", ".join(sorted({fact_of(entry, "licence") or "unknown" for entry in made.entries})),
                "answers of the Hub": len(made.refs),
            }
        )
    console.note(
        f"Compare the sha256 where it arrives; there, `depthhub cache import {args.out.name}`, then HF_HUB_OFFLINE=1."
    )
    local = [printable(name_of(entry)) for entry in made.entries if not fact_of(entry, "repo_id")]
    if local:
        console.warning(f"made from files, by which they are asked for there, too; take them along: {', '.join(local)}")
    return ExitCode.DONE


def _check_output(out: Path, *, force: bool) -> None:
    from depthhub_cache.identity import is_file_name

    if out.suffix != ".tar":
        raise UsageError(f"{out} should end in .tar: that is what is written.")
    if not is_file_name(out.name):
        raise UsageError(f"{out.name!r} cannot be the name of a file on every system; choose another one.")
    if out.exists() and not out.is_file():
        raise UsageError(f"{out} is there and is no file; choose another place for the bundle.")
    if os.path.lexists(out) and not force:
        raise _is_there(out)


def _is_there(out: Path) -> UsageError:
    return UsageError(f"{out} is there already; --force replaces it.")
