"""`depthhub path`: print the path of a converted file in the cache."""

from __future__ import annotations

import argparse

from ..console import Console
from ..exit_codes import ExitCode
from ..in_cache import not_in_cache
from ..options import SOURCE_HELP, add_source_options, local_options
from ..output import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    add_source_options(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:  # noqa: ARG001  every verb has this signature
    from ...resolution import locate

    entry = locate(args.source, **local_options(args))
    if entry is None:
        raise not_in_cache(args.source)
    if args.json:
        write_json({"source": args.source, "key": entry.key, "path": entry.weights})
    else:
        print(entry.weights)
    return ExitCode.DONE
