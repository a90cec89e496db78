"""What `cache pin` and `cache unpin` share: the same thing done with the key of each target."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import DepthHubError
from .console import Console, error_json
from .exit_codes import ExitCode, common_exit_code
from .in_cache import key_of_text
from .options import add_entries_argument, add_source_options, local_options
from .output import write_json

if TYPE_CHECKING:
    from depthhub_cache.identity import Key
    from depthhub_cache.store import Store


def add_pin_arguments(parser: argparse.ArgumentParser) -> None:
    add_entries_argument(parser, nargs="+")
    add_source_options(parser)


def for_each_key(
    args: argparse.Namespace, console: Console, act: Callable[[Store, Key], None], *, done: str
) -> ExitCode:
    """Do `act` for the entry of every target; what is not there is reported, and the others are done."""
    store = args.settings.open_store()
    results: list[dict[str, Any]] = []
    codes = [ExitCode.DONE]
    for target in args.targets:
        try:
            key = key_of_text(target, store, beside=store.pins(), **local_options(args))
            act(store, key)
        except DepthHubError as error:
            codes.append(console.failure(error))
            results.append({"target": target, "key": None, "error": error_json(error)})
        else:
            results.append({"target": target, "key": key, "pinned": store.is_pinned(key)})
            console.note(f"{target} ({key[:12]}) is {done}{_where(store, key)}.")
    if args.json:
        write_json(results)
    return common_exit_code(codes)


def _where(store: Store, key: Key) -> str:
    is_below = not store.owns(store.folder_of(key))
    return (
        " here; it lies in a tier that is only read, and what is collected there is its owner's affair"
        if is_below
        else ""
    )
