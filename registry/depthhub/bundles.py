"""Entries of a cache to a file and back, for machines without a network; and the answers of the Hub that go along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from depthhub_cache.bundles.archive import Report as BytesReport
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import ImportReport, import_bundle
from depthhub_cache.entry import Entry
from depthhub_cache.identity import ContentHash, Key, is_sha256
from depthhub_cache.record import Record
from depthhub_cache.store import Store

from .errors import IntegrityError, NotFoundError
from .lockfile import Lockfile
from .progress import Progress, Report, Stage, silent
from .steps.located import HubCheckpoint
from .steps.remembered import FOUND, not_asked_in
from .whole_file import whole_file

_OF_THE_HUB = ("hub:", f"{FOUND}hub:")
"""How the names of those refs begin that mean the same on every machine; of a `file:` only its own machine knows."""

_SIZE_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was written. sha256: of the file, to compare where it arrives. refs: the answers in it."""

    path: Path
    size: int
    sha256: ContentHash
    entries: tuple[Entry, ...]
    refs: tuple[str, ...]


def export_entries(
    store: Store,
    keys: Iterable[Key],
    out: Path,
    *,
    lock: Lockfile | None = None,
    replace: bool = False,
    progress: Report = silent,
) -> Exported:
    """Write the entries `keys` to the bundle `out`, with what the Hub said of them, so that names work there too.

    lock: IntegrityError where it has other weights of an entry.
    `out` is whole or absent. Raises FileExistsError where it is there and is not to be replaced, and BrokenEntryError,
    writing nothing, where an entry is not as it was published.
    """
    keys = sorted(set(keys))
    out = out.expanduser().absolute()
    with whole_file(out, replace=replace) as staged:
        summary = export_bundle(
            store,
            keys,
            _refs_of(store, keys),
            staged.write,
            check=partial(_require_locked, lock),
            progress=_as_progress(out, "exporting", progress),
        )
    return Exported(path=out, size=summary.size, sha256=staged.sha256(), entries=summary.entries, refs=summary.refs)


def import_entries(store: Store, path: Path, *, progress: Report = silent) -> ImportReport:
    """Publish the entries of the bundle `path` that are not in the cache, and remember what the Hub said of them.

    Raises BundleError at the first thing that is not as it was exported; see `depthhub_cache.bundles` for what a bundle
    can and cannot promise.
    """
    path = path.expanduser().absolute()
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}.", source=str(path)) from error
    with file:
        return import_bundle(
            store,
            file,
            path,
            ref_problem=_ref_problem,
            merged=_merged,
            progress=_as_progress(path, "importing", progress),
        )


def _require_locked(lock: Lockfile | None, entry: Entry) -> None:
    if lock is None:
        return
    model = lock.by_key(entry.key)
    if model is not None and entry.record.weights_sha256 != model.weights_sha256:
        raise IntegrityError(
            f"{entry.path} has converted weights of sha256 {entry.record.weights_sha256}, and the lockfile {lock.path} "
            f"has {model.weights_sha256} of {model.source}. `depthhub pull --locked` makes them here.",
            source=model.source,
            expected=model.weights_sha256,
            found=entry.record.weights_sha256,
        )


def _refs_of(store: Store, keys: Iterable[Key]) -> dict[str, Mapping[str, Any]]:
    """The answers of the Hub that name a checkpoint of which one of the entries was made."""
    records = [entry.record for key in keys if (entry := store.get(key)) is not None]
    return {name: data for name, data in store.refs() if _ref_problem(name, data, records) is None}


def _ref_problem(name: str, data: Mapping[str, Any], records: Sequence[Record]) -> str | None:
    """Why a ref does not belong beside entries with these records; None where it does."""
    if not name.startswith(_OF_THE_HUB):
        return "it is no answer of the Hub"
    try:
        answer = HubCheckpoint.parse_ref(data)
        datetime.fromisoformat(answer["remembered_at"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"it is not understood ({error!r})"
    if not 0 <= (answer["size"] or 0) <= _SIZE_LIMIT:
        return "its size is that of no file"
    of = {found for record in records if is_sha256(found := record.about.get("content_hash"))}
    return None if answer["content_hash"] in of else "it is of a checkpoint that is none of the bundle's"


def _merged(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What to remember: a bundle's answer where it is of a later date; of the same commit ours, with what it lacks."""
    told, known = _date(theirs), _date(ours)
    later = told is not None and known is not None and told > known
    if (theirs.get("commit"), theirs.get("filename")) == (ours.get("commit"), ours.get("filename")):
        more = _only_in(theirs, ours) | ({"remembered_at": theirs["remembered_at"]} if later else {})
        return {**ours, **more} if more else None
    return theirs if later else None


def _date(answer: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(answer["remembered_at"]).astimezone(timezone.utc)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _only_in(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """That there is no config.json or licence is a fact, too, where it was asked; an unknown sha256 is none."""
    asked_apart, not_asked = not_asked_in({}), not_asked_in(ours)
    unknown = {fact for fact in theirs.keys() - asked_apart if ours.get(fact) is None and theirs[fact] is not None}
    return {fact: value for fact, value in theirs.items() if fact in unknown | not_asked}


def _as_progress(path: Path, stage: Stage, report: Report) -> BytesReport:
    return lambda done, total: report(Progress(path.name, stage, done, total))
