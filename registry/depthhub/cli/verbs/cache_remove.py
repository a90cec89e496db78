"""`depthhub cache remove`: remove entries. They are made again when they are needed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ...errors import CacheError, DepthHubError
from ..beside import hidden_entries
from ..console import Console, error_json
from ..errors import UsageError
from ..exit_codes import ExitCode, common_exit_code
from ..in_cache import key_of_text
from ..options import add_entries_argument, add_source_options, local_options
from ..output import bytes_text, write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.identity import Key
    from depthhub_cache.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_entries_argument(parser, nargs="*")
    parser.add_argument("--all", action="store_true", help="every entry")
    parser.epilog = (
        "It ends with 0 where all of them are gone, 8 where one is pinned, in use or cannot be removed, 3 where one "
        "is not there; the others are removed."
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also what is pinned, with its pin, or what a running process has open",
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    add_source_options(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    if args.all == bool(args.targets):
        raise UsageError("Say which entries to remove, or --all for every one.")
    store = args.settings.open_store()
    options = local_options(args)
    results: list[dict[str, Any]] = []
    codes = [ExitCode.DONE]
    if args.all:
        codes += [console.failure(error) for error in hidden_entries(store) if store.owns(error.path)]
    for target in args.targets or list(store.tiers[0].keys()):
        try:
            key = key_of_text(target, store, **options)
            _require_free(key, store, force=args.force)
            entry = store.get(key)
            size = entry.record.weights_size if entry else None
            freed = 0 if args.dry_run else store.remove(key, force=args.force)
            if args.force and not args.dry_run:
                store.unpin(key)
        except DepthHubError as error:
            codes.append(console.failure(error))
            results.append({"target": target, "key": None, "error": error_json(error)})
        else:
            results.append({"target": target, "key": key, "size": size, "freed": freed})
    removed = [result for result in results if result["key"]]
    if args.json:
        write_json(results)
    else:
        write_table(("KEY", "SIZE"), [(result["key"], bytes_text(result["size"])) for result in removed])
    verb = "would be removed" if args.dry_run else f"removed, {bytes_text(sum(r['freed'] for r in removed))} freed"
    console.note(f"{len(removed)} {verb}.")
    return common_exit_code(codes)


def _require_free(key: Key, store: Store, *, force: bool) -> None:
    """Raises CacheError where the entry is not ours to remove, or is held and nobody said --force."""
    folder = store.folder_of(key)
    if not store.owns(folder):
        raise CacheError(f"The entry {folder} lies in a tier that is only read; it is not removed.", path=folder)
    held = None if force else store.why_held(key)
    if held is not None:
        raise CacheError(f"The entry {folder} is {held}. --force removes it all the same.", path=folder)
