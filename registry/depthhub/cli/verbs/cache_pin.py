"""`depthhub cache pin`: let no collection remove an entry."""

from __future__ import annotations

import argparse

from ..console import Console
from ..exit_codes import ExitCode
from ..pinning import add_pin_arguments, for_each_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pin_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    return for_each_key(args, console, lambda store, key: store.pin(key), done="pinned")
