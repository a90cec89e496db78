"""Holds the catalog against the Hub as it is now: does each pin hold, and can each hint become a pin?

Asks for lists of files, as anybody may, and downloads nothing. The report is Markdown on stdout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from depthhub.catalog import BUILT_IN, Catalog
from depthhub.errors import DepthHubError
from depthhub.settings import Settings

from .findings import Finding, findings
from .issue import IssueError, tell
from .questions import Questions
from .report import as_json, as_markdown
from .writing import write_confirmed

_AS_IT_SAYS, _USAGE, _NO_ANSWER, _BROKEN, _OUT_OF_DATE = 0, 2, 4, 6, 10

_EXIT_CODES = """\
exit codes, the first that fits:
  2  the command line, a setting or the catalog is wrong
  6  a checkpoint that can be loaded cannot be had any more: gone, gated, or other bytes
  4  the Hub, or with --issue GitHub, did not answer
 10  the catalog is out of date: something can be confirmed, or has to be decided; 0 with --issue, which tells it
  0  all is as the catalog says
"""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        catalog = Catalog.load(args.catalog)
        entries = [entry for pattern in args.names or ["*"] for entry in catalog.search(pattern)]
        if not entries:
            return _failed(f"no checkpoint of {args.catalog} is called {' or '.join(args.names)}", _USAGE)
        questions = Questions(Settings.resolve())
        found = [finding for entry in entries for finding in findings(entry, catalog, questions)]
        written = write_confirmed(args.catalog, found) if args.write else []
    except DepthHubError as error:
        return _failed(str(error), _USAGE)
    print((as_json if args.json else as_markdown)(found, len(entries)), end="")
    if written:
        print(f"Confirmed in {args.catalog}: {', '.join(finding.name for finding in written)}.", file=sys.stderr)
    left = [finding for finding in found if finding not in written]
    loadable = {entry.name for entry in entries if entry.build is not None}
    code = _exit_code(left, loadable)
    if args.issue:
        return _tell(as_markdown(found, len(entries)), left, code)
    return code


def _tell(report: str, found: Sequence[Finding], code: int) -> int:
    if found and all(finding.kind == "unknown" for finding in found):
        return (
            code  # of an hour without the Hub nobody has to hear; what the issue says is still the last that is known
        )
    try:
        print(tell(report, any_findings=bool(found)), file=sys.stderr)
    except IssueError as error:
        return _failed(str(error), _NO_ANSWER)
    return _AS_IT_SAYS if code == _OUT_OF_DATE else code


def _exit_code(found: Sequence[Finding], loadable: set[str]) -> int:
    if any(finding.kind == "broken" and finding.name in loadable for finding in found):
        return _BROKEN
    if any(finding.kind == "unknown" for finding in found):
        return _NO_ANSWER
    return _OUT_OF_DATE if found else _AS_IT_SAYS


def _failed(message: str, code: int) -> int:
    print(f"catalog-check: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/catalog-check",
        description=__doc__,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="or a pattern of names ('v2-*'); all, where none is given"
    )
    parser.add_argument("--catalog", type=Path, default=BUILT_IN, metavar="FILE", help="another one than the built-in")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    parser.add_argument("--write", action="store_true", help="put what the Hub confirms into the catalog")
    parser.add_argument(
        "--issue", action="store_true", help="open, update or close the report as an issue of GITHUB_REPOSITORY"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
