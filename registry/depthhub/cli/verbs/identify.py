"""`depthhub identify`: say what a checkpoint is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..console import Console
from ..exit_codes import ExitCode
from ..options import path_of
from ..output import Cell, build_text, bytes_text, write_facts, write_json

if TYPE_CHECKING:
    from ...identification import Identification


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=path_of, help="a checkpoint: .pth, .pt, .bin, .ckpt or .safetensors"
    )


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    import depthhub

    with console.progress() as bar:
        identification = depthhub.identify(args.file, progress=bar.report)
    if args.json:
        write_json(identification)
    else:
        write_facts(_facts(identification))
    if identification.unknown:
        missing = " and ".join(identification.unknown)
        console.note(f"Neither names nor shapes tell {missing}: V1, V2 and V2-metric have the same.")
    return ExitCode.DONE


def _facts(found: Identification) -> dict[str, Cell]:
    return {
        "file": found.path,
        "size": bytes_text(found.size),
        "sha256": found.content_hash,
        "name": _name(found),
        "licence": found.licence,
        "layout": found.layout,
        "shapes": str(found.sizes) if found.sizes else None,
        "tensors": found.tensors,
        "build": None if found.unsupported else build_text(found.build),
        "file name suggests": build_text(found.suggestion) if found.suggestion else None,
        "unsupported": found.unsupported,
        "decisions": "; ".join(found.decisions) or None,
    }


def _name(found: Identification) -> str:
    if found.name is None:
        return "not in the catalog"
    return found.name if found.confirmed else f"{found.name} (only one source states this sha256)"
