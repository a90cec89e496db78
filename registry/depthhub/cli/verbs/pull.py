"""`depthhub pull`: put models into the cache before they are needed."""

from __future__ import annotations

import argparse
from typing import Any

from ...errors import DepthHubError
from ..console import Console, error_json
from ..exit_codes import ExitCode, common_exit_code
from ..options import SOURCE_HELP, add_refresh_option, add_source_options, source_options
from ..output import Cell, bytes_text, write_json, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCE_HELP)
    add_source_options(parser)
    add_refresh_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    """One source after the other: what fails is reported, and the others are pulled all the same."""
    import depthhub

    options = source_options(args)
    results: list[Any] = []
    rows: list[tuple[Cell, ...]] = []
    codes = [ExitCode.DONE]
    with console.progress() as bar:
        for source in args.sources:
            try:
                (pulled,) = depthhub.prewarm([source], refresh=args.refresh, progress=bar.report, **options)
            except DepthHubError as error:
                bar.close()
                codes.append(console.failure(error))
                results.append({"source": source, "error": error_json(error)})
            else:
                results.append(pulled)
                state = "was there" if pulled.cached else "pulled"
                rows.append((pulled.source, state, bytes_text(pulled.size), pulled.path))
    if args.json:
        write_json(results)
    else:
        write_table(("SOURCE", "STATE", "SIZE", "PATH"), rows)
    return common_exit_code(codes)
