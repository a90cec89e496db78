"""The command line: `depthhub VERB ...`, also `python -m depthhub VERB ...`.

Data goes to stdout, messages to stderr. With `--json`, stdout is one JSON document, an error included.
Each verb is a file in `verbs/`, imported only when it runs. Exit codes are listed in `exit_codes.py` and in
`depthhub --help`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from .console import Console

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give back its exit code; a user's mistake is a message, never a traceback."""
    from .streams import usable_streams

    with usable_streams():
        return _answer(sys.argv[1:] if argv is None else argv)


def _answer(argv: Sequence[str]) -> int:
    """What a command ends with, when all that it has to say is said and written."""
    from ..errors import DepthHubError
    from .console import Console, error_json
    from .exit_codes import ExitCode
    from .output import write_json
    from .parser import build_parser
    from .streams import discard

    console, code = Console(), 0
    try:
        try:
            args = build_parser().parse_args(argv)
            console = Console(quiet=args.quiet, verbose=args.verbose)
            code = _run(args, console)
        except SystemExit as exit:  # argparse has printed the help or the version
            code = exit.code if isinstance(exit.code, int) else 0
        except BrokenPipeError:
            raise
        except (DepthHubError, OSError, KeyboardInterrupt) as error:
            code = console.failure(error)
            if "--json" in argv:  # of a command line that cannot be parsed, no more is known
                write_json({"error": error_json(error)})
        sys.stdout.flush()  # here, where an output that is full, or whose reader went away, can still be answered for
    except BrokenPipeError:
        discard(sys.stdout)
        return ExitCode.BROKEN_PIPE
    except OSError as error:  # all others were answered for above
        discard(sys.stdout)
        return code or console.failure(OSError(error.errno, error.strerror, "stdout"))
    return code


def _run(args: argparse.Namespace, console: Console) -> int:
    from .options import settings_of

    with console.listening():
        args.settings = settings_of(args)  # first: a variable that is not usable is the same mistake for every verb
        return int(args.run(args, console))
