"""`depthhub cache gc`: remove rubbish, and what the budget has no room for; the longest unused goes first."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ...quantities import parse_age, parse_bytes
from ..console import Console
from ..exit_codes import ExitCode
from ..in_cache import name_of
from ..options import add_cache_option
from ..output import Cell, bytes_text, to_json, write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.collection import Collected, Decision
    from depthhub_cache.store import Store

_EXPLANATION = """\
Without --max-size and --max-age the standing budget counts (DEPTHHUB_MAX_SIZE, DEPTHHUB_MAX_AGE). An entry that a
running process has open, or that is pinned (`cache pin`), is never removed. What is in the quarantine goes first, and
in any case after 30 days. All of it can be made again.
"""

_Value = TypeVar("_Value")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXPLANATION
    parser.add_argument(
        "--max-size", type=_told(parse_bytes), metavar="SIZE", help="what may stay in all: 20GB, 500MB, 0"
    )
    parser.add_argument("--max-age", type=_told(parse_age), metavar="AGE", help="since the last use: 90d, 12h")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    from depthhub_cache.collection import Budget

    store = args.settings.open_store()
    limits = {"max_size": args.max_size, "max_age": args.max_age}
    if limits == {"max_size": None, "max_age": None}:
        limits = {"max_size": args.settings.max_size, "max_age": args.settings.max_age}
    names = {entry.key: name_of(entry) for entry in store.entries()}
    collected = store.collect(Budget(**limits), dry_run=args.dry_run)
    if args.json:
        write_json({**to_json(collected), "freed_bytes": collected.freed_bytes})
    else:
        action = "would go" if args.dry_run else "freed"
        rows = [_row(action, decision, names) for decision in collected.freed]
        rows += [_row("spared", decision, names) for decision in collected.spared]
        write_table(("WHAT", "KIND", "NAME", "SIZE", "WHY"), rows)
    console.note(_summary(collected, store, limits["max_size"]))
    return ExitCode.DONE


def _row(action: str, decision: Decision, names: dict[str, str]) -> tuple[Cell, ...]:
    item = decision.item
    name = f"{names[item.name]} ({item.name[:12]})" if item.name in names else item.name[:12]
    return action, item.kind, name, bytes_text(item.bytes), decision.why


def _summary(collected: Collected, store: Store, max_size: int | None) -> str:
    verb = "would be freed" if collected.dry_run else "freed"
    text = f"{bytes_text(collected.freed_bytes)} {verb}, {bytes_text(collected.bytes)} left in {store.root}."
    if max_size is not None and collected.bytes > max_size:
        text += f" That is more than the {bytes_text(max_size)} asked for: what was spared is in the way."
    return text


def _told(parse: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """`parse` with its own words in argparse's error."""

    def told(text: str) -> _Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return told
