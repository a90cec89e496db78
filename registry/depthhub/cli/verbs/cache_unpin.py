"""`depthhub cache unpin`: let an entry be removed when its time comes."""

from __future__ import annotations

import argparse

from ..console import Console
from ..exit_codes import ExitCode
from ..pinning import add_pin_arguments, for_each_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pin_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    return for_each_key(args, console, lambda store, key: store.unpin(key), done="not pinned any more")
