"""`depthhub cache gc`: remove rubbish, and what the budget has no room for; the longest unused goes first."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...errors import CacheError
from ...quantities import parse_age, parse_bytes
from ..console import Console, error_json
from ..exit_codes import ExitCode, common_exit_code
from ..in_cache import name_of
from ..options import add_cache_option
from ..output import Cell, bytes_text, to_json, write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.collection import Collected, Decision
    from depthhub_cache.store import Store

_EXPLANATION = """\
Without --max-size and --max-age the standing budget counts (DEPTHHUB_MAX_SIZE, DEPTHHUB_MAX_AGE). An entry that a
running process has open, or that is pinned (`cache pin`), is never removed. What is in the quarantine goes first, and
in any case after 30 days. All of it can be made again. It ends with 0, also where something was spared because it is
held, and with 8 where the system did not let us see or remove something.
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
    refusals = list(_refusals(collected, store))
    if args.json:
        refused = list(map(error_json, refusals))
        write_json({**to_json(collected), "freed_bytes": collected.freed_bytes, "refused": refused})
    else:
        action = "would go" if args.dry_run else "freed"
        rows = [_row(action, decision, names) for decision in collected.freed]
        rows += [_row("spared", decision, names) for decision in collected.spared]
        write_table(("WHAT", "KIND", "NAME", "SIZE", "WHY"), rows)
    codes = [console.failure(error) for error in refusals]
    console.note(_summary(collected, store, limits["max_size"]))
    return common_exit_code(codes)


def _refusals(collected: Collected, store: Store) -> Iterator[CacheError]:
    """What the system did not let us see or remove; what a process or a pin holds is none of it."""
    from depthhub_cache.hidden import hidden_folders

    own = store.tiers[0]
    for area, levels in (("entries", 1), ("checkpoints", 2), ("quarantine", 0), ("tmp", 0), ("leases", 0), ("pins", 0)):
        yield from hidden_folders(own.folder(area), levels=levels)
    if collected.dry_run:
        return
    for decision in collected.spared:
        if decision.refused:
            yield CacheError(f"{decision.item.path} should go: {decision.why}", path=decision.item.path)
    for path in _rubbish_left(own.folder("tmp")):
        yield CacheError(f"{path} is rubbish, and cannot be removed. Look whose it is.", path=path)


def _rubbish_left(tmp: Path) -> Iterator[Path]:
    """What should be swept and was not, and what this process took away and could not delete."""
    from depthhub_cache.abandoned import abandoned_directories
    from depthhub_cache.owner import Owner
    from depthhub_cache.reading import children

    yield from abandoned_directories(tmp)
    yield from (path for path in children(tmp) if Owner.of_name(path.name) == Owner.current())


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
