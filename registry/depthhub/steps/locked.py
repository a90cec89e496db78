"""A lockfile in force: a source is what is written there, and nothing else is loaded, made or fetched."""

from __future__ import annotations

from depthhub_cache.entry import Entry
from depthhub_cache.identity import ContentHash, Key
from depthhub_cache.store import Store

from ..catalog import Catalog, CatalogEntry
from ..errors import IntegrityError, LockfileError
from ..lockfile import LockedModel, Lockfile
from ..source import CatalogName
from .located import HubCheckpoint
from .request import Request
from .stated import Stated


def locate_locked(lock: Lockfile, request: Request, catalog: Catalog) -> HubCheckpoint:
    """The checkpoint that the lockfile has for a source of the Hub: nobody is asked. Raises NotLockedError."""
    model = lock.find(request.source, request.dtype, catalog)
    if isinstance(request.source, CatalogName) and request.source.name in catalog:
        _require_as_pinned(model, catalog.find(request.source.name), request.source, lock)
    entry = catalog.by_file(model.repo_id, model.repo_type, model.filename)
    if entry is not None:
        entry.require_supported()
    return HubCheckpoint(
        source=str(request.source),
        repo_id=model.repo_id,
        repo_type=model.repo_type,
        filename=model.filename,
        commits=(model.commit,),
        content_hash=model.sha256,
        git_sha1=None,
        size=model.size,
        entry=entry,
        stated=Stated(model.recipe.build, None, teller=f"the lockfile {lock.path} has it as"),
        config_asked=False,
        pinned=True,
        ref=None,
        remembered_at=None,
        card_licence=model.licence,
        card_asked=True,
    )


def _require_as_pinned(model: LockedModel, named: CatalogEntry, source: CatalogName, lock: Lockfile) -> None:
    """A lockfile says which of a name's commits, and never that a name is something else.

    Raises LockfileError where the catalog knows it otherwise.
    """
    pinned = named.sha256 if source.revision is None else None
    there = (named.repo_type, named.repo_id, named.filename, pinned or model.sha256)
    if (model.repo_type, model.repo_id, model.filename, model.sha256) != there:
        raise LockfileError(
            f"Lockfile {lock.path} has {model.repo_id}/{model.filename} (sha256 {model.sha256:.12}) as {model.source}, "
            f"and the catalog {named.repo_id}/{named.filename} (sha256 {there[3]:.12}). `depthhub lock --update "
            f"{source}` locks what the catalog names.",
            path=lock.path,
            field="source",
        )


def require_locked_weights(
    lock: Lockfile, key: Key, weights_sha256: ContentHash, request: Request, where: str, remedy: str | None = None
) -> None:
    """Raises IntegrityError where the lockfile has other converted weights of the entry `key`.

    where: has these. remedy: what to do there if the lockfile is right.
    """
    model = lock.by_key(key)
    if model is None or model.weights_sha256 == weights_sha256:
        return
    remedy = remedy or f"`depthhub cache remove {model.key[:12]}` and pull it again"
    raise IntegrityError(
        f"{request.source}: {where} has converted weights of sha256 {weights_sha256}, and the lockfile {lock.path} has "
        f"{model.weights_sha256}. If the lockfile is right, {remedy}; if depthhub converts otherwise now, write the "
        "lockfile anew with `depthhub lock`.",
        source=str(request.source),
        expected=model.weights_sha256,
        found=weights_sha256,
    )


def is_as_locked(lock: Lockfile, entry: Entry, request: Request, store: Store) -> bool:
    """Whether the converted weights are the locked ones. What is not so in a tier below is passed by from now on.

    Raises IntegrityError for one in the cache itself: a lockfile may be wrong, too, and takes nothing away.
    """
    try:
        require_locked_weights(lock, entry.key, entry.record.weights_sha256, request, f"the entry {entry.path}")
    except IntegrityError as error:
        if store.owns(entry.path):
            raise
        store.distrust(entry, str(error))
        return False
    return True
