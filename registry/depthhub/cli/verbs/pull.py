"""`depthhub pull`: put models into the cache before they are needed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...errors import DepthHubError
from ..asked_sources import Asked, asked_sources
from ..console import Console, error_json
from ..exit_codes import ExitCode, common_exit_code
from ..interrupt import ending_at_once
from ..options import SOURCE_HELP, add_lockfile_option, add_refresh_option, add_source_options
from ..output import Cell, bytes_text, counted, write_json, write_table

if TYPE_CHECKING:
    from ...planning import Planned
    from ...prewarming import Prewarmed
    from ...steps.request import Request
    from ..progress_bar import Indicator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=f"{SOURCE_HELP}; or a pattern of names ('v2-*')")
    parser.add_argument(
        "--all-licensed",
        metavar="LICENCE,...",
        help="every model of the catalog under one of these licences; a disputed one counts as the strictest",
    )
    parser.add_argument("--locked", action="store_true", help="all that the lockfile names, exactly as written there")
    add_lockfile_option(parser, "--lockfile")
    parser.add_argument("--dry-run", action="store_true", help="say what would be fetched, and fetch nothing")
    parser.add_argument("--push", action="store_true", help="fill the remote store, too (also: DEPTHHUB_PUSH=1)")
    add_source_options(parser)
    add_refresh_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    """What fails is reported, and the others are pulled all the same."""
    with console.progress() as bar, ending_at_once(console, bar, json=args.json):
        asked = asked_sources(args)
        bar.expect(len(asked))
        outcomes: dict[int, Prewarmed | Planned | DepthHubError] = {}
        codes = [ExitCode.DONE]
        for place, outcome in _outcomes(asked, bar, dry_run=args.dry_run):
            outcomes[place] = outcome
            bar.finished(place)
            if isinstance(outcome, DepthHubError):
                codes.append(console.failure(outcome))
    found = [outcomes[place] for place in range(len(asked))]
    if args.json:
        write_json([_as_json(one, outcome) for one, outcome in zip(asked, found, strict=True)])
    elif args.dry_run:
        _show_plans(asked, found, console)
    else:
        _show(asked, found)
    return common_exit_code(codes)


def _outcomes(
    asked: Sequence[Asked], bar: Indicator, *, dry_run: bool
) -> Iterator[tuple[int, Prewarmed | Planned | DepthHubError]]:
    """What became, or would become, of each that was asked for, by its place."""
    requests: dict[int, Request] = {}
    for place, (_, request) in enumerate(asked):
        if isinstance(request, DepthHubError):
            yield place, request
        else:
            requests[place] = request._replace(report=bar.report_of(place))
    places = list(requests)
    yield from ((places[at], outcome) for at, outcome in _work(list(requests.values()), dry_run=dry_run))


def _work(requests: Sequence[Request], *, dry_run: bool) -> Iterator[tuple[int, Prewarmed | Planned | DepthHubError]]:
    from ...prewarming import outcomes, side_by_side

    if not dry_run:
        return outcomes(requests)
    from ...planning import plan

    return side_by_side(plan, requests)


def _as_json(asked: Asked, outcome: object) -> object:
    if isinstance(outcome, DepthHubError):
        return {"source": asked.text, "error": error_json(outcome)}
    return outcome


def _show(asked: Sequence[Asked], outcomes: Sequence[object]) -> None:
    from ...prewarming import Prewarmed

    rows: list[tuple[Cell, ...]] = [
        (outcome.source, _state(outcome), bytes_text(outcome.size), outcome.licence or _UNKNOWN, outcome.path)
        if isinstance(outcome, Prewarmed)
        else (one.text, "failed", None, None, None)
        for one, outcome in zip(asked, outcomes, strict=True)
    ]
    write_table(("SOURCE", "STATE", "SIZE", "LICENCE", "PATH"), rows)


_UNKNOWN = "unknown"


def _state(pulled: Prewarmed) -> str:
    state = "was there" if pulled.cached else "pulled"
    return state if pulled.pushed is None else f"{state}, {'pushed' if pulled.pushed else 'was in the remote store'}"


_ORIGINS = {
    "cache": "is there",
    "file": "a file here",
    "remote": "from the remote store",
    "copy": "a copy here",
    "hub": "from the Hub",
}


def _show_plans(asked: Sequence[Asked], outcomes: Sequence[object], console: Console) -> None:
    from ...planning import Planned

    planned = [outcome for outcome in outcomes if isinstance(outcome, Planned)]
    rows: list[tuple[Cell, ...]] = [
        (
            outcome.source,
            _ORIGINS[outcome.origin],
            bytes_text(outcome.bytes) or "not known",
            outcome.licence or _UNKNOWN,
            outcome.stated_by,
        )
        if isinstance(outcome, Planned)
        else (one.text, "failed", None, None, None)
        for one, outcome in zip(asked, outcomes, strict=True)
    ]
    write_table(("SOURCE", "STATE", "TO FETCH", "LICENCE", "STATED BY"), rows)
    known = [one.bytes for one in planned if one.bytes is not None]
    missing = len(planned) - len(known)
    unknown = f", and {counted(missing, 'file')} of a size that nobody tells" if missing else ""
    failed = f"; {counted(len(asked) - len(planned), 'source')} failed" if len(planned) < len(asked) else ""
    console.note(f"{bytes_text(sum(known))} to fetch{unknown}{failed}; nothing was fetched")
