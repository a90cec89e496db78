"""The step `models`: from the catalog to a folder that is a remote store, with bundles and cards beside it.

Only what is dear is kept from one run to the next: downloads and conversions, in two caches, each byte of which is read
again. All else is made anew, and is the same: so nothing has to remember how far a run came.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from depthhub import lock, prewarm
from depthhub.bundles import export_entries
from depthhub.catalog import Catalog, CatalogEntry
from depthhub.lockfile import FILE_NAME, LockedModel
from depthhub.settings import Settings
from depthhub.whole_file import whole_file
from depthhub_cache.entry import Entry
from depthhub_cache.remote.store import record_name, weights_name
from depthhub_cache.store import Store

from .cards import card
from .errors import ReleaseError
from .licences import REDISTRIBUTABLE, require_redistributable, why_withheld
from .release import Release

LICENCE_FILE = "LICENSE-apache-2.0.txt"
_PIECE = 8 << 20


def make_models(release: Release) -> tuple[LockedModel, ...]:
    """Everything that is uploaded of the models that were asked for and may be redistributed.

    Raises ReleaseError, and what `depthhub.lock` raises; what was downloaded and converted until then stays.
    """
    with _of_the_hub_alone():
        catalog = known_catalog()
        names = [entry.name for entry in redistributable(catalog) if _fits(entry.name, release.only)]
        if not names:
            raise ReleaseError(f"No model that may be redistributed is called {' or '.join(release.only)}.")
        cache = os.pathsep.join(map(str, (release.work, release.entries)))
        prewarm(names, cache_dir=cache, verify=True)
        release.models.mkdir(parents=True, exist_ok=True)
        locked = lock(names, release.models / FILE_NAME, cache_dir=cache).models
    for model in locked:
        require_redistributable(model, catalog)
    work, entries = Store(release.work, below=(release.entries,)), Store(release.entries)
    for model in locked:
        _settle(work, entries, model, release)
    _remember(work, entries, release)
    for model in locked:
        _stage(entries, model, catalog.find(model.name or ""), release)
    _put(release.models / LICENCE_FILE, (release.checkout.root / "LICENSE").read_bytes())
    for other in set(release.models.iterdir()) - {release.models / name for name in model_files(locked)}:
        other.unlink()  # of an earlier run, which released other models
    return locked


def known_catalog() -> Catalog:
    """The built-in one, and the one that DEPTHHUB_CATALOG adds."""
    return Catalog.known(Settings.resolve().catalog)


def redistributable(catalog: Catalog) -> Iterator[CatalogEntry]:
    """What can be loaded, and may be handed on by us."""
    return (entry for entry in catalog if entry.build is not None and why_withheld(entry, catalog) is None)


def model_files(locked: Sequence[LockedModel]) -> set[str]:
    """The names of all files that this step makes of these models."""
    names = {FILE_NAME, LICENCE_FILE}
    for model in locked:
        names |= set(files_of(model).values())
    return names


def files_of(model: LockedModel) -> Mapping[str, str]:
    """What a model is in a release: two objects of the remote store, a bundle and a card."""
    return {
        "record": record_name(model.key),
        "weights": weights_name(model.weights_sha256),
        "bundle": f"{model.name}.tar",
        "card": f"{model.name}.md",
    }


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _settle(work: Store, entries: Store, model: LockedModel, release: Release) -> None:
    """The entry as it is released, in `entries`: with the time of the commit in its record, it is always the same.

    Every byte is read: by `prewarm` a moment ago where it is there already, else while it is copied.
    """
    found = work.get(model.key)
    if found is None:
        raise ReleaseError(f"The entry of {model.source} has gone from {work.root} meanwhile. Run this step again.")
    record = found.record._replace(created_at=release.time)
    if found.path == entries.folder_of(model.key) and found.record == record:
        return
    with found.weights.open("rb", buffering=0) as file, entries.stage() as staging:
        with staging.file(record.weights) as staged:
            while piece := file.read(_PIECE):
                staged.write(piece)
        entries.remove(model.key)  # of another commit
        made = entries.publish_record(record, staging)
    if made.record.weights_sha256 != model.weights_sha256:
        raise ReleaseError(f"The entry of {model.source} is not the one that was locked. Run this step again.")
    work.remove(model.key)


def _remember(work: Store, entries: Store, release: Release) -> None:
    """What the Hub said goes along in bundles; when it said so would differ each time."""
    for name, answer in work.refs():
        entries.remember(name, {**answer, "remembered_at": release.time})


def _stage(entries: Store, model: LockedModel, known: CatalogEntry, release: Release) -> None:
    entry, files = entries.get(model.key), files_of(model)
    if entry is None:
        raise ReleaseError(f"The entry of {model.source} has gone from {entries.root}. Run this step again.")
    _link(entry, release.models / files["weights"])
    _put(release.models / files["record"], entry.record.to_bytes())
    export_entries(entries, [model.key], release.models / files["bundle"], replace=True)
    _put(release.models / files["card"], card(model, known, files, LICENCE_FILE, release).encode())


def _link(entry: Entry, target: Path) -> None:
    """The weights under a second name: gigabytes are not written twice."""
    with suppress(FileNotFoundError):
        if target.samefile(entry.weights):
            return
        target.unlink()
    os.link(entry.weights, target)


def _put(path: Path, data: bytes) -> None:
    with whole_file(path, replace=True) as staged:
        staged.write(data)


@contextmanager
def _of_the_hub_alone() -> Iterator[None]:
    """An environment in which nothing but the Hub and the catalog decides what is made, under the licences we allow."""
    before = dict(os.environ)
    for name in ("DEPTHHUB_LOCKFILE", "DEPTHHUB_REMOTE", "DEPTHHUB_PUSH", "DEPTHHUB_MAX_SIZE", "DEPTHHUB_MAX_AGE"):
        os.environ.pop(name, None)
    os.environ["DEPTHHUB_ALLOW_LICENSES"] = ",".join(sorted(REDISTRIBUTABLE))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
