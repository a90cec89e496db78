"""`depthhub cache import`: entries from a file that `depthhub cache export` wrote."""

from __future__ import annotations

import argparse

from ..console import Console
from ..exit_codes import ExitCode
from ..in_cache import fact_of, name_of
from ..options import add_cache_option, path_of
from ..output import bytes_text, counted, write_json, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.tar", type=path_of, help="a bundle, as `depthhub cache export` writes it")
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    from ...bundles import import_entries

    with console.progress() as bar:
        report = import_entries(args.settings.open_store(), args.file, progress=bar.report)
    if args.json:
        entries = [
            {
                "key": made.entry.key,
                "name": name_of(made.entry),
                "state": made.state,
                "size": made.entry.record.weights_size,
                "licence": fact_of(made.entry, "licence"),
                "path": made.entry.weights,
            }
            for made in report.entries
        ]
        write_json({"path": args.file, "entries": entries, "refs": report.refs})
    else:
        table = [
            (
                name_of(made.entry),
                made.state,
                bytes_text(made.entry.record.weights_size),
                fact_of(made.entry, "licence") or "unknown",
                made.entry.key[:12],
            )
            for made in report.entries
        ]
        write_table(("NAME", "STATE", "SIZE", "LICENCE", "KEY"), table)
    there = sum(made.state == "kept" for made in report.entries)
    console.note(
        f"{len(report.entries) - there} imported, {there} were there already; "
        f"{counted(len(report.refs), 'answer')} of the Hub remembered."
    )
    return ExitCode.DONE
