"""`depthhub info`: what a source means, and whether it is in the cache."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..console import Console
from ..exit_codes import ExitCode
from ..options import SOURCE_HELP, add_refresh_option, add_source_options, source_options
from ..output import Cell, age_text, build_text, bytes_text, to_json, write_facts, write_json

if TYPE_CHECKING:
    from ...provenance import Provenance
    from ...resolution import Resolution


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    add_source_options(parser)
    add_refresh_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    import depthhub

    options = source_options(args)
    resolution = depthhub.resolve(args.source, refresh=args.refresh, **options)
    provenance = _provenance(resolution, args)
    if args.json:
        write_json({**to_json(resolution), "provenance": to_json(provenance)})
    else:
        write_facts(_facts(resolution, provenance))
    if resolution.undecided:
        console.note(resolution.undecided)
    return ExitCode.DONE


def _provenance(resolution: Resolution, args: argparse.Namespace) -> Provenance | None:
    from ...provenance import Provenance

    entry = args.settings.open_store().get(resolution.key) if resolution.key else None
    return Provenance.of(entry) if entry else None


def _facts(resolution: Resolution, provenance: Provenance | None) -> dict[str, Cell]:
    return {
        "source": resolution.source,
        "name": resolution.name,
        "repository": resolution.repo_id,
        "file": resolution.local_path or resolution.filename,
        "commit": resolution.commit,
        "sha256": resolution.content_hash or "known after the download",
        "how it is known": _known_by(resolution),
        "size": bytes_text(resolution.size),
        "licence": resolution.licence,
        "licence note": resolution.licence_note,
        "build": build_text(resolution.build),
        "key": resolution.key,
        "cached": resolution.path or "no",
        "converted at": f"{provenance.made_at} ({age_text(provenance.made_at)})" if provenance else None,
        "decisions": "; ".join(provenance.decisions) or None if provenance else None,
    }


def _known_by(resolution: Resolution) -> str | None:
    if resolution.pinned:
        return "pinned by the catalog"
    if resolution.remembered_at:
        age = age_text(resolution.remembered_at)
        return f"the Hub said so {age} ({resolution.remembered_at}); --refresh asks again"
    return "read from the file" if resolution.local_path else None
