"""`depthhub list`: the models of the catalog."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import Console
from ..exit_codes import ExitCode
from ..in_cache import fact_of, recipe_of
from ..options import add_cache_option
from ..output import bytes_text, to_json, write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.store import Store

    from ...catalog import CatalogEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pattern", nargs="?", metavar="PATTERN", help="part of a name (vitl), or a shell pattern ('v2-*-vit[sb]')"
    )
    parser.add_argument("--all", action="store_true", help="also the known models that depthhub cannot serve")
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    from ...catalog import Catalog

    matching = Catalog.known(args.settings.catalog).search(_shell_pattern(args.pattern))
    models = [model for model in matching if args.all or model.unsupported is None]
    cached = _cached_files(args.settings.open_store())
    if args.json:
        write_json([{**to_json(model), "path": _path(model, cached)} for model in models])
    else:
        header = ("NAME", "FAMILY", "OUTPUT", "ENCODER", "LICENCE", "SIZE", "CACHED")
        write_table(header, [_row(model, cached) for model in models])
    if not models:
        hidden = f"; {len(matching)} that depthhub cannot serve: add --all" if matching else ""
        console.note(f"No model matches {args.pattern!r}{hidden}.")
    return ExitCode.DONE


def _shell_pattern(text: str | None) -> str:
    """A plain word is looked for anywhere in a name."""
    if text is None:
        return "*"
    return text if set(text) & set("*?[") else f"*{text}*"


def _row(model: CatalogEntry, cached: Mapping[tuple[str, str], Path]) -> tuple[str | None, ...]:
    if model.build is None:
        output, state = None, f"unsupported: {model.unsupported}"
    else:
        output = "relative" if model.build.max_depth is None else f"metres, up to {model.build.max_depth:g}"
        state = "yes" if _path(model, cached) else "no"
    licence = f"{model.licence} (disputed)" if model.licence and model.licence_disputed else model.licence
    return (model.name, model.family, output, model.encoder, licence, bytes_text(model.size), state)


def _path(model: CatalogEntry, cached: Mapping[tuple[str, str], Path]) -> Path | None:
    """The converted file of `model`, if a plain `from_pretrained(name)` would find it."""
    if model.sha256 is not None:
        return cached.get((model.name, model.sha256))
    return next((path for (name, _), path in cached.items() if name == model.name), None)


def _cached_files(store: Store) -> dict[tuple[str, str], Path]:
    """(name, content hash) -> converted file, for entries of the checkpoint's own dtype. Reads records, no weights."""
    return {
        (name, content_hash): entry.weights
        for entry in store.entries()
        if (name := fact_of(entry, "name"))
        and (content_hash := fact_of(entry, "content_hash"))
        and (recipe := recipe_of(entry))
        and recipe.dtype is None
    }
