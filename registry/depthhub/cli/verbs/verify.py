"""`depthhub verify`: check what is in the cache; what fails is set aside in its quarantine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...errors import BrokenEntryError, CacheError, DepthHubError, NotFoundError
from ..beside import Damage, Still, damaged_originals, damaged_refs, hidden_entries
from ..console import Console, error_json
from ..exit_codes import ExitCode, common_exit_code
from ..in_cache import key_of_text, name_of, name_of_broken, require_visible
from ..options import add_entries_argument, add_source_options, local_options
from ..output import write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.identity import Key
    from depthhub_cache.store import Store

_EXPLANATION = """\
Check the entries of every tier, the remembered answers and, with --deep, the kept checkpoints. What is broken in the
writable cache is moved to its quarantine, with the reason (see `depthhub cache quarantine`), and made again when it is
needed; what is broken in a tier that is only read is reported. So is what the system does not let us read.
"""

_ENDS = """\
It ends with 0 where all is sound, 6 where something is broken, 8 where something cannot be read, 3 where a source is
not in the cache, 2 or 7 where nothing tells what it means, and 1 where several of these are true.
"""

State = Literal["sound", "broken", "unreadable", "missing", "unknown"]
"""unreadable: it may be sound. unknown: nothing at hand tells which entry a source means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One thing that was checked.

    source: what was asked for, or the entry's name, or what else it is. key: of an entry. quarantine: where it is now,
    if it was broken.
    """

    source: str | None
    key: Key | None
    state: State
    quarantine: Path | None = None
    error: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Something to check: an entry in a tier, or a source that is looked up first."""

    source: str | None
    key: Key | None
    folder: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_entries_argument(parser, nargs="*", default="everything")
    parser.description, parser.epilog = _EXPLANATION, _ENDS
    parser.add_argument("-n", "--dry-run", action="store_true", help="report, and move nothing")
    parser.add_argument(
        "--deep", action="store_true", help="read every byte and compare its sha256 (default: records, sizes, headers)"
    )
    add_source_options(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    """Every entry of every tier, and every ref, or the entries of the sources; one that fails stops no other."""
    store = args.settings.open_store()
    results: list[Checked] = []
    codes = [ExitCode.DONE]
    targets = list(_targets(args, store))
    with console.progress() as bar:
        for done, target in enumerate(targets):
            bar.count(done, len(targets), target.source or (target.key or "")[:12])
            try:
                results.append(_check(target, args, store))
            except DepthHubError as error:
                if target.folder is not None and _is_gone(target.folder):
                    continue  # removed since it was listed
                codes.append(console.failure(error))
                results.append(_failed(target, error, store, deep=args.deep, move=not args.dry_run))
        for damage in () if args.targets else _beside(store, deep=args.deep):
            codes.append(console.failure(damage.error))
            results.append(_damaged(damage.what, None, damage.error, store, damage.still, move=not args.dry_run))
    if args.json:
        write_json(results)
    else:
        write_table(("SOURCE", "KEY", "STATE"), [(r.source, r.key and r.key[:12], r.state) for r in results])
    how = "every byte" if args.deep else "records, sizes and headers; --deep reads every byte"
    if not args.targets:
        how += f"; beside the entries the remembered answers{' and the kept checkpoints' if args.deep else ''}"
    console.note(f"{len(results)} checked, {len(codes) - 1} failed ({how}).")
    return common_exit_code(codes)


def _targets(args: argparse.Namespace, store: Store) -> Iterator[Target]:
    for source in args.targets:
        yield Target(source, None, None)
    if not args.targets:
        require_visible(store)
        for tier in store.tiers:
            yield from (Target(None, key, tier.entry_folder(key)) for key in tier.keys())  # noqa: SIM118  it is no dict


def _check(target: Target, args: argparse.Namespace, store: Store) -> Checked:
    """Raises BrokenEntryError, and NotFoundError or FamilyError where a source leads to no entry."""
    from depthhub_cache.verification import verify_entry

    key = target.key or key_of_text(target.source or "", store, **local_options(args))
    folder = target.folder or store.folder_of(key)
    entry = verify_entry(folder, key, deep=args.deep)
    return Checked(source=target.source or name_of(entry), key=key, state="sound")


def _is_gone(folder: Path) -> bool:
    from depthhub_cache.reading import is_there

    try:
        return not is_there(folder)
    except OSError:
        return False


def _failed(target: Target, error: DepthHubError, store: Store, *, deep: bool, move: bool) -> Checked:
    from depthhub_cache.identity import Key
    from depthhub_cache.verification import is_broken

    if isinstance(error, CacheError):
        key = target.key or Key(error.path.name)
        return _damaged(
            target.source or name_of_broken(error.path),
            key,
            error,
            store,
            lambda path: is_broken(path, key, deep=deep),
            move=move,
        )
    state: State = "missing" if isinstance(error, NotFoundError) else "unknown"
    return Checked(source=target.source, key=target.key, state=state, error=error_json(error))


def _damaged(
    source: str | None, key: Key | None, error: CacheError, store: Store, still: Still, *, move: bool
) -> Checked:
    """What is broken is set aside, if it can be written to; what is only out of reach stays where it is."""
    if not isinstance(error, BrokenEntryError):
        return Checked(source=source, key=key, state="unreadable", error=error_json(error))
    place = None
    with suppress(CacheError):
        if move and store.owns(error.path):
            place = store.quarantine(error.path, error.reason, still=lambda path: bool(still(path)))
    return Checked(source=source, key=key, state="broken", quarantine=place, error=error_json(error))


def _beside(store: Store, *, deep: bool) -> Iterator[Damage]:
    for error in hidden_entries(store):
        yield Damage("The entries", error)
    yield from damaged_refs(store)
    if deep:
        yield from damaged_originals(store)
