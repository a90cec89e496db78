"""`depthhub lock`: write down which models, to the byte, or check what was written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import Console
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..options import SOURCE_HELP, add_build_options, add_cache_option, add_lockfile_option, build_options
from ..output import counted, write_json, write_table

if TYPE_CHECKING:
    from ...lockfile import LockedModel, Lockfile
    from ...locking import Stale


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=SOURCE_HELP)
    add_lockfile_option(parser, "-o", "--out")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--add", action="store_true", help="keep what the file has, and add to it")
    group.add_argument("--check", action="store_true", help="fail where it is out of date, or a branch has moved")
    group.add_argument("--update", action="store_true", help="lock the SOURCEs of the file anew, as they are now")
    add_build_options(parser)
    where = parser.add_argument_group("where to look")
    add_cache_option(where)
    where.add_argument("--offline", action="store_const", const=True, help="use no network (also: HF_HUB_OFFLINE=1)")


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    if args.check == bool(args.sources):
        raise UsageError("Say which sources to lock, or --check alone to hold the lockfile against them.")
    if args.update and any(build_options(args).values()):
        raise UsageError("--update keeps dtype and family as they are locked; lock --add takes others.")
    out = args.lockfile or args.settings.lockfile or Path(_default())
    where: dict[str, Any] = {"cache_dir": args.cache_dir, "offline": args.offline}
    return _check(out, where, args, console) if args.check else _write(out, where, args, console)


def _default() -> str:
    from ...lockfile import FILE_NAME

    return FILE_NAME


def _write(out: Path, where: dict[str, Any], args: argparse.Namespace, console: Console) -> ExitCode:
    from ...locking import lock, update

    before = {_name(model): model for model in _models_in(out)}
    with console.progress() as bar:
        where["progress"] = bar.report
        if args.update:
            made = update(out, args.sources, **where)
        else:
            made = lock(args.sources, out, add=args.add, **build_options(args), **where)
    now = {_name(model): model for model in made.models}
    _show(made, args)
    for name in sorted(now.keys() - before.keys()):
        console.note(f"added    {name}")
    for name in sorted(name for name in now.keys() & before.keys() if now[name] != before[name]):
        console.note(f"changed  {name}")
    for name in sorted(before.keys() - now.keys()):
        console.note(f"removed  {name}")
    console.note(f"{made.path}: {counted(len(made.models), 'model')}")
    return ExitCode.DONE


def _models_in(path: Path) -> tuple[LockedModel, ...]:
    """For what is said of the change: a file that cannot be read is written anew, or an error where it is added to."""
    from ...errors import LockfileError
    from ...lockfile import Lockfile

    try:
        return Lockfile.read(path.absolute()).models
    except LockfileError:
        return ()


def _check(out: Path, where: dict[str, Any], args: argparse.Namespace, console: Console) -> ExitCode:
    from ...locking import check

    locked, stale = check(out, **where)
    if args.json:
        write_json({"path": locked.path, "models": len(locked.models), "stale": stale})
    else:
        write_table(("SOURCE", "WHAT", "LOCKED", "NOW"), [_row(one) for one in stale])
    if not stale:
        console.note(f"{locked.path}: {counted(len(locked.models), 'model')}, all as locked")
        return ExitCode.DONE
    console.warning(f"{locked.path} is out of date; `depthhub lock --update SOURCE` locks a source as it is now.")
    return ExitCode.REFUSED


def _row(stale: Stale) -> tuple[str | None, ...]:
    gone = "gone" if stale.fact == "commit" else "none"
    return (stale.source, stale.fact, stale.locked or "none", stale.now or gone)


def _show(made: Lockfile, args: argparse.Namespace) -> None:
    if args.json:
        write_json({"path": made.path, **made.to_json()})
    else:
        rows = [
            (model.source, model.recipe.dtype, model.commit[:12], model.sha256[:12], model.licence, model.key[:12])
            for model in made.models
        ]
        write_table(("SOURCE", "DTYPE", "COMMIT", "SHA256", "LICENCE", "KEY"), rows)


def _name(model: Any) -> str:
    return f"{model.source} ({model.recipe.dtype})" if model.recipe.dtype else str(model.source)
