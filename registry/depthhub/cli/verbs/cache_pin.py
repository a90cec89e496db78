"""`depthhub cache pin`: let no collection remove an entry."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ...errors import NotFoundError
from ..console import Console
from ..exit_codes import ExitCode
from ..pinning import add_pin_arguments, for_each_key

if TYPE_CHECKING:
    from depthhub_cache.identity import Key
    from depthhub_cache.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pin_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    return for_each_key(args, console, _pin, done="pinned")


def _pin(store: Store, key: Key) -> None:
    """Raises NotFoundError where the entry was removed before anybody could see that it is pinned."""
    store.pin(key)
    if os.path.lexists(store.folder_of(key)):
        return
    with store.lock(key):  # it may be out of its place to be removed, and is put back then
        if not os.path.lexists(store.folder_of(key)):
            raise NotFoundError(
                f"The entry {key[:12]} is not in the cache any more. Its pin is, and holds it when it is made again; "
                "`depthhub cache unpin` takes it away.",
                source=key,
            )
