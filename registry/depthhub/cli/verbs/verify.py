"""`depthhub verify`: check entries of the cache."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...errors import DepthHubError, NotFoundError
from ..console import Console, error_json
from ..exit_codes import ExitCode, common_exit_code
from ..in_cache import key_of_source, name_of
from ..options import SOURCE_HELP, add_source_options, local_options
from ..output import write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.identity import Key
    from depthhub_cache.store import Store

State = Literal["sound", "broken", "missing", "unknown"]
"""unknown: nothing at hand tells which entry a source means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One entry that was checked; key is None where there is no such entry, error says what is wrong."""

    source: str | None
    key: Key | None
    state: State
    error: dict[str, object] | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=f"default: every entry; {SOURCE_HELP}")
    parser.add_argument(
        "--deep", action="store_true", help="read every byte and compare its sha256 (default: records, sizes, headers)"
    )
    add_source_options(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    """Every entry, or those of the sources; a broken one is reported and the others are checked all the same."""
    from depthhub_cache.store import Store

    store = Store(args.settings.cache_dir)
    options = local_options(args)
    results: list[Checked] = []
    codes = [ExitCode.DONE]
    targets: list[Any] = [(source, None) for source in args.sources] or [(None, key) for key in sorted(store.keys())]
    with console.progress() as bar:
        for done, (source, key) in enumerate(targets):
            bar.count(done, len(targets), source or key[:12])
            try:
                key = key or key_of_source(source, store, **options)
                results.append(_check(store, key, source, deep=args.deep))
            except DepthHubError as error:
                codes.append(console.failure(error))
                state: State = "broken" if key else "missing" if isinstance(error, NotFoundError) else "unknown"
                results.append(Checked(source=source, key=key, state=state, error=error_json(error)))
    if args.json:
        write_json(results)
    else:
        write_table(("SOURCE", "KEY", "STATE"), [(r.source, r.key and r.key[:12], r.state) for r in results])
    how = "every byte" if args.deep else "records, sizes and headers; --deep reads every byte"
    console.note(f"{len(results)} checked, {len(codes) - 1} failed ({how}).")
    return common_exit_code(codes)


def _check(store: Store, key: Key, source: str | None, *, deep: bool) -> Checked:
    store.verify(key, deep=deep)
    entry = store.get(key)
    return Checked(source=source or (name_of(entry) if entry else None), key=key, state="sound")
