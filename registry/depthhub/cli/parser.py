"""What one may type. A verb's options live in the verb's own file, which is imported when the verb is typed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from .errors import UsageError
from .exit_codes import EXIT_CODES_HELP
from .options import add_output_options


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and its one line of help. `verbs` are those below it, as in `depthhub cache info`."""

    name: str
    help: str
    verbs: tuple[Verb, ...] = ()


VERBS = (
    Verb("list", "the models of the catalog"),
    Verb("info", "what a source means, and whether it is in the cache"),
    Verb("pull", "put models into the cache before they are needed"),
    Verb("lock", "write down which models, to the byte, or check what was written"),
    Verb("path", "print the path of a converted file in the cache"),
    Verb("verify", "check entries of the cache"),
    Verb("doctor", "what works here and what is degraded: the cache's file system and the Hub"),
    Verb("identify", "say what a checkpoint is"),
    Verb("convert", "convert a checkpoint to a file of your own, beside the cache"),
    Verb("predict", "depth pictures of photographs"),
    Verb(
        "cache",
        "look at the cache and tidy it",
        (
            Verb("info", "where the cache is and what it holds"),
            Verb("list", "the entries of the cache"),
            Verb("remove", "remove entries"),
            Verb("gc", "remove rubbish, and what the budget has no room for"),
            Verb("quarantine", "what failed verification, and why"),
            Verb("pin", "let no collection remove an entry"),
            Verb("unpin", "let it be removed when its time comes"),
            Verb("export", "entries as one file, for machines without a network"),
            Verb("import", "entries from such a file"),
        ),
    ),
)


def build_parser() -> argparse.ArgumentParser:
    parser = _VerbParser(
        prog="depthhub",
        description="From a name to a Depth-Anything model: verified download, converted weights in a cache.",
        epilog=EXIT_CODES_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_verbs(parser, VERBS, "depthhub.cli.verbs.")
    return parser


def _add_verbs(parser: argparse.ArgumentParser, verbs: Sequence[Verb], prefix: str) -> None:
    below = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_VerbParser)
    for verb in verbs:
        if verb.verbs:
            group = below.add_parser(verb.name, help=verb.help, description=_sentence(verb.help))
            _add_verbs(group, verb.verbs, f"{prefix}{verb.name}_")
        else:
            below.add_parser(verb.name, help=verb.help, description=_sentence(verb.help), module=f"{prefix}{verb.name}")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


class _VerbParser(argparse.ArgumentParser):
    """The parser of a verb: asks the verb's module for its options at the moment it has something to parse."""

    def __init__(self, *, module: str | None = None, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)
        self._module = module

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._module is not None:
            verb, self._module = import_module(self._module), None
            verb.add_arguments(self)
            add_output_options(self)
            self.set_defaults(run=verb.run)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(message)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"depthhub {version('depthhub')}")
        parser.exit()
