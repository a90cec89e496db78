"""`depthhub cache info`: where the cache is and what it holds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..console import Console
from ..exit_codes import ExitCode
from ..options import add_cache_option
from ..output import bytes_text, to_json, write_facts, write_json

if TYPE_CHECKING:
    from depthhub_cache.usage import Area


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cache_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:  # noqa: ARG001  every verb has this signature
    from depthhub_cache.store import Store

    root = args.settings.cache_dir
    usage = Store(root).usage()
    if args.json:
        write_json({"path": root, "bytes": usage.bytes, **to_json(usage)})
    else:
        write_facts(
            {
                "path": str(root),
                "in all": bytes_text(usage.bytes),
                "entries": _text(usage.entries),
                "kept checkpoints": _text(usage.checkpoints),
                "refs": _text(usage.refs),
                "under way, or left": _text(usage.staging),
                "free": bytes_text(usage.free),
            }
        )
    return ExitCode.DONE


def _text(area: Area) -> str:
    return f"{area.count} ({bytes_text(area.bytes)})" if area.count else "none"
