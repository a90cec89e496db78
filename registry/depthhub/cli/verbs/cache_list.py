"""`depthhub cache list`: the entries of the cache."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..console import Console
from ..exit_codes import ExitCode
from ..in_cache import fact_of, name_of
from ..options import add_cache_option
from ..output import age_text, bytes_text, write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.entry import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    entries = sorted(args.settings.open_store().entries(), key=lambda entry: (name_of(entry), entry.key))
    if args.json:
        write_json([{"key": entry.key, "path": entry.weights, "record": entry.record} for entry in entries])
    else:
        write_table(("NAME", "BUILD", "DTYPE", "SIZE", "KEY", "CONVERTED"), [_row(entry) for entry in entries])
    if not entries:
        console.note(f"The cache {args.settings.cache_dir} is empty.")
    return ExitCode.DONE


def _row(entry: Entry) -> tuple[str | None, ...]:
    as_released = "as released" if "recipe" in entry.record.about else None
    size = bytes_text(entry.record.weights_size)
    return (
        name_of(entry),
        fact_of(entry, "recipe", "build", "family"),
        fact_of(entry, "recipe", "dtype") or as_released,
        size,
        entry.key[:12],
        age_text(entry.record.created_at),
    )
