"""The command line: `depthhub VERB ...`, also `python -m depthhub VERB ...`.

Data goes to stdout, messages to stderr. With `--json`, stdout is one JSON document, an error included.
Each verb is a file in `verbs/`, imported only when it runs. Exit codes are listed in `exit_codes.py` and in
`depthhub --help`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from .exit_codes import ExitCode

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give back its exit code; a user's mistake is a message, never a traceback."""
    from .parser import build_parser

    _allow_any_file_name_on_stdout()
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as exit:  # argparse has said what is wrong, or has printed the help
        return exit.code if isinstance(exit.code, int) else 0
    return int(_run(args))


def _run(args: argparse.Namespace) -> ExitCode:
    from ..errors import DepthHubError
    from .console import Console, error_json
    from .exit_codes import ExitCode
    from .options import settings_of
    from .output import write_json

    console = Console(quiet=args.quiet, verbose=args.verbose)
    try:
        with console.listening():
            args.settings = settings_of(args)  # first: a variable that is not usable is the same mistake for every verb
            code: ExitCode = args.run(args, console)
        sys.stdout.flush()  # here, where a reader that went away can still be answered for
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again when it ends
        return ExitCode.BROKEN_PIPE
    except (DepthHubError, OSError, KeyboardInterrupt) as error:
        code = console.failure(error)
        if args.json:
            write_json({"error": error_json(error)})
    return code


def _allow_any_file_name_on_stdout() -> None:
    """A path that is not text in the terminal's encoding is printed as its bytes, or escaped; never a crash."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
