"""`depthhub convert`: convert a checkpoint to a file of your own, beside the cache."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..console import Console
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..options import add_build_options, build_options, path_of
from ..output import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=path_of, help="a checkpoint: .pth, .pt, .bin, .ckpt or .safetensors"
    )
    parser.add_argument(
        "-o", "--out", required=True, type=path_of, metavar="OUT.safetensors", help="the converted file"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")
    add_build_options(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    _check_output(args.file, args.out, force=args.force)
    from ...conversion import convert_file

    with console.progress() as bar:
        try:
            config = convert_file(args.file, args.out, replace=args.force, progress=bar.report, **build_options(args))
        except FileExistsError as error:
            raise _is_there(args.out) from error
    if args.json:
        write_json({"path": args.out, "config": config})
    else:
        print(args.out)
    return ExitCode.DONE


def _check_output(file: Path, out: Path, *, force: bool) -> None:
    from depthhub_cache.identity import is_file_name

    if out.suffix != ".safetensors":
        raise UsageError(f"{out} should end in .safetensors: that is what is written.")
    if not is_file_name(out.name):
        raise UsageError(f"{out.name!r} cannot be the name of a file on every system; choose another one.")
    if out.exists() and not out.is_file():
        raise UsageError(f"{out} is there and is no file; choose another place for the converted file.")
    if out.exists() and file.exists() and out.samefile(file):
        raise UsageError(f"{out} is the checkpoint itself; choose another place for the converted file.")
    if os.path.lexists(out) and not force:
        raise _is_there(out)


def _is_there(out: Path) -> UsageError:
    return UsageError(f"{out} is there already; --force replaces it.")
