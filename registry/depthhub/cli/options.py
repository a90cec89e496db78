"""Options that several verbs share, and what they become when the library is called."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..checkpoint.recipe import DTYPES
from ..model.config import FAMILIES
from ..settings import Settings

SOURCE_HELP = (
    "a name of the catalog (vitl), owner/repo[/file][@revision], hf://..., or a path (./file.pth); see `depthhub list`"
)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that takes a SOURCE."""
    add_build_options(parser)
    group = parser.add_argument_group("where to look")
    group.add_argument("--revision", help="branch, tag or commit on the Hub")
    add_cache_option(group)
    group.add_argument("--offline", action="store_const", const=True, help="use no network (also: HF_HUB_OFFLINE=1)")


def add_entries_argument(parser: argparse.ArgumentParser, *, nargs: str, default: str | None = None) -> None:
    """The entries of the cache that a verb is about, as `targets`; `default` says which, where none is named."""
    help = f"8 digits or more of a key (see `cache list`), or {SOURCE_HELP}"
    help = help if default is None else f"default: {default}; {help}"
    parser.add_argument("targets", nargs=nargs, metavar="KEY|SOURCE", help=help)


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that may have to be told what no shape tells."""
    group = parser.add_argument_group("how to build the model")
    group.add_argument("--family", choices=FAMILIES, help="where neither the catalog nor the file tells")
    group.add_argument(
        "--max-depth",
        type=_metres,
        metavar="METRES",
        help="of a v2-metric model: 20 if trained on Hypersim (indoor), 80 if on Virtual KITTI (outdoor)",
    )
    group.add_argument("--dtype", choices=DTYPES, help="of the converted weights (default: the checkpoint's)")


def add_refresh_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--refresh", action="store_true", help="ask the Hub again what a branch or tag points to")


def add_lockfile_option(parser: argparse._ActionsContainer, *names: str) -> None:
    parser.add_argument(
        *names,
        dest="lockfile",
        type=path_of,
        metavar="FILE",
        help="the lockfile (also: DEPTHHUB_LOCKFILE; depthhub.lock where one is needed)",
    )


def add_cache_option(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--cache-dir", metavar="FOLDER", help="root of the cache (also: DEPTHHUB_CACHE)")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="one JSON document on stdout, an error included")
    group.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress, only warnings and errors")
    group.add_argument("-v", "--verbose", action="store_true", help="debug messages, and the traceback of an error")


def build_options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments that say how to build the model."""
    return {"family": args.family, "max_depth": args.max_depth, "dtype": args.dtype}


def local_options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for a call that uses no network."""
    return {**build_options(args), "revision": args.revision, "cache_dir": args.cache_dir}


def source_options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for a call that may ask the Hub."""
    return {**local_options(args), "offline": args.offline}


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings of this command. Raises SettingsError where a variable of the environment is not usable."""
    return Settings.resolve(cache_dir=getattr(args, "cache_dir", None))


def path_of(text: str) -> Path:
    """A path that was typed. An empty one, a variable that was not set, is no path; Path would take it for `.`."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text is no path")
    return Path(text)


def _metres(text: str) -> float:
    metres = float(text)
    if not 0 < metres < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a depth in metres, more than 0")
    return metres
