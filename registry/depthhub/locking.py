"""Lockfiles: written, held against the world as it is now, brought up to date."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from depthhub_cache.identity import Key
from depthhub_cache.store import Store

from .catalog import Catalog
from .errors import FamilyError, IntegrityError, NotFoundError, NotLockedError, OfflineError, OptionError
from .hub_names import is_commit
from .loading import ensure_entry
from .lockfile import LockedModel, Lockfile, lockable
from .progress import Report
from .provenance import Provenance
from .settings import Settings
from .source import CatalogName, HubFile, LocalFile
from .steps.find import want
from .steps.held import lease_what_is_there
from .steps.licence import licence_of
from .steps.located import HubCheckpoint, Located
from .steps.request import Request
from .steps.resolve import resolve as locate_checkpoint
from .whole_file import whole_file

if TYPE_CHECKING:
    import torch


_START = 1 << 16
"""Bytes in which a lockfile says that it is one."""


class Stale(NamedTuple):
    """What is not as it is locked: `fact` was `locked`, and is `now`; None where there is none, or nobody tells.

    fact: commit, sha256, licence, key (this version converts otherwise) or weights_sha256 (of the entry in the cache).
    """

    source: str
    fact: str
    locked: str | None
    now: str | None


def lock(
    sources: Iterable[str],
    out: str | os.PathLike[str],
    *,
    add: bool = False,
    dtype: torch.dtype | str | None = None,
    family: str | None = None,
    max_depth: float | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    offline: bool | None = None,
    progress: Report | None = None,
) -> Lockfile:
    """Write the lockfile `out`: `sources` as they are now, each made in the cache if it is not there.

    A branch or tag is asked for anew. add: what the file has besides stays; else the file is these sources.
    Raises what `from_pretrained` raises, OptionError for a local file, which no other machine has, and LockfileError;
    the file is then as it was.
    """
    out = _absolute(out)
    _require_replaceable(out)
    if add:
        Lockfile.read(out)  # before anything is fetched
    build: dict[str, Any] = {"dtype": dtype, "family": family, "max_depth": max_depth}
    where: dict[str, Any] = {"cache_dir": cache_dir, "token": token, "offline": offline, "progress": progress}
    asked = {lockable(request.source, _known(request)): request for request in _requests(sources, **build, **where)}
    made = _locked(list(asked.values()))
    taken = {(model.source, model.recipe.dtype) for model in made}
    with _turn(out, cache_dir):
        kept = Lockfile.read(out).models if add else ()  # as it is now: others may have added to it meanwhile
        return _written(out, [*made, *(model for model in kept if (model.source, model.recipe.dtype) not in taken)])


def update(path: str | os.PathLike[str], sources: Collection[str], **where: Any) -> Lockfile:
    """Lock `sources` of the lockfile `path` anew, in each dtype that it has of them; the others stay as they are.

    where: `cache_dir`, `token`, `offline` and `progress`, as for `lock`. Raises what `lock` raises, and NotLockedError
    for a source that is not in the file.
    """
    locked = Lockfile.read(_absolute(path))
    chosen = {lockable(request.source, _known(request)) for request in _requests(sources, **where)}
    if missing := chosen - {model.source for model in locked.models}:
        raise NotLockedError(
            f"{', '.join(sorted(missing))} is not in the lockfile {locked.path}. `depthhub lock --add` adds to it.",
            source=min(missing),
            path=locked.path,
        )
    before = [model for model in locked.models if model.source in chosen]
    made = _locked([_again(model, where) for model in before])
    taken = {(model.source, model.recipe.dtype) for model in (*before, *made)}
    with _turn(locked.path, where.get("cache_dir")):
        kept = Lockfile.read(locked.path).models  # as it is now: others may have changed it meanwhile
        return _written(
            locked.path, [*made, *(model for model in kept if (model.source, model.recipe.dtype) not in taken)]
        )


def check(path: str | os.PathLike[str], **where: Any) -> tuple[Lockfile, tuple[Stale, ...]]:
    """The lockfile `path`, and what of it is no longer so.

    Downloads no weights, and leaves what is remembered as it is. where: as for `update`. Raises what `resolve` raises,
    but for what is gone: that is stale.
    """
    locked = Lockfile.read(_absolute(path))
    requests = [(model, _again(model, where)._replace(remembers=False)) for model in locked.models]
    return locked, tuple(stale for model, request in requests for stale in _stale(model, request))


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()


def _turn(out: Path, cache_dir: str | os.PathLike[str] | None) -> AbstractContextManager[bool]:
    """One command changes a lockfile after the other, as far as they share a cache: nothing is left beside the file."""
    name = f"lockfile:{os.path.realpath(out)}"
    return Settings.resolve(cache_dir=cache_dir).open_store().lock(Key(hashlib.sha256(os.fsencode(name)).hexdigest()))


def _written(out: Path, models: Iterable[LockedModel]) -> Lockfile:
    made, file = Lockfile.of(out, models), Path(os.path.realpath(out))  # a link stays, and leads to the new one
    _require_replaceable(out)  # it may have come meanwhile
    with whole_file(file, replace=True) as staged:
        staged.write(made.to_bytes())
    return made


def _require_replaceable(out: Path) -> None:
    """Raises OptionError unless there is nothing yet, an empty file, or one that was a lockfile before some merge."""
    if out.exists() and not _was_a_lockfile(out):
        raise OptionError(
            f"{out} is there and is no lockfile that can be read; choose another place, or remove it.",
            option="out",
            value=str(out),
        )


def _was_a_lockfile(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return not (start := opened.read(_START)) or b'"lockfile"' in start
    except OSError:
        return False


def _requests(sources: Iterable[str], **options: Any) -> list[Request]:
    """What is asked for, as it is now. A lockfile in force has no say: it is about to be written."""
    requests = [Request.parse(source, refresh=True, locked=False, **options) for source in sources]
    for request in requests:
        if isinstance(request.source, LocalFile):
            raise OptionError(
                f"{request.source} is a file of this machine. A lockfile names what every machine can have: put the "
                "file on the Hub, and lock owner/repo/file.",
                option="sources",
                value=str(request.source),
            )
        if request.settings.offline and _moves(request):
            raise OfflineError(
                f"{request.source}: whether it has moved only the Hub can tell, and the network may not be used "
                "(--offline or HF_HUB_OFFLINE). Do this where it may, or lock a commit.",
                source=str(request.source),
            )
    return requests


def _moves(request: Request) -> bool:
    """Whether what is asked for may be another one tomorrow: a branch or a tag, or a name that pins neither."""
    if isinstance(request.source, CatalogName) and request.source.revision is None:
        entry = _known(request).find(request.source.name)
        return entry.revision is None and entry.sha256 is None
    return not (isinstance(request.source, CatalogName | HubFile) and is_commit(request.source.revision or ""))


def _again(model: LockedModel, where: dict[str, Any]) -> Request:
    """What was asked for when `model` was locked, in the same words.

    What a catalog told then, and is not here to tell, is said too.
    """
    said: dict[str, Any] = {"family": model.family, "max_depth": model.max_depth}
    (request,) = _requests([model.source], dtype=model.recipe.dtype, **said, **where)
    known = _known(request).by_file(model.repo_id, model.repo_type, model.filename)
    if model.name is not None and known is None and not isinstance(request.source, CatalogName):
        return request._replace(family=model.recipe.build.family, max_depth=model.recipe.build.max_depth)
    return request


def _known(request: Request) -> Catalog:
    return Catalog.known(request.settings.catalog)


def _locked(requests: Sequence[Request]) -> list[LockedModel]:
    """Each made in the cache, and there until all are: a standing budget takes none away for another."""
    with ExitStack() as leases:
        lease_what_is_there(requests, leases)
        return [_made(request, leases) for request in requests]


def _made(request: Request, leases: ExitStack) -> LockedModel:
    store = request.settings.open_store()
    entry, located, lease, _ = ensure_entry(request, store)
    leases.enter_context(lease)
    made = Provenance.of(entry)
    return LockedModel(
        source=lockable(request.source, _known(request)),
        family=request.family,
        max_depth=None if request.max_depth is None else float(request.max_depth),
        name=located.entry.name if located.entry else None,
        **_place(located, request, store),
        sha256=made.content_hash,
        size=made.checkpoint_bytes,
        licence=licence_of(located, made.content_hash, request).name,
        recipe=made.recipe,
        key=entry.key,
        weights_sha256=entry.record.weights_sha256,
        weights_size=entry.record.weights_size,
    )


def _place(located: Any, request: Request, store: Store) -> dict[str, Any]:
    """Repository, type, commit and file. Of a pin whose commit is only a hint, the Hub says at which commit it is."""
    if located.known_commit is None:
        from .steps.hub_file import ask_once

        there = HubFile(located.repo_id, located.filename, None, located.repo_type)
        asked = ask_once(there, located.entry, request, store)
        if located.content_hash is not None and asked.content_hash != located.content_hash:
            raise IntegrityError(
                f"{request.source}: at commit {asked.commit} the Hub has a file of sha256 {asked.content_hash}, and "
                f"the catalog pins {located.content_hash}. Lock the file of a commit that has it: "
                f"{located.repo_id}/{located.filename}@COMMIT.",
                source=str(request.source),
                expected=located.content_hash,
                found=str(asked.content_hash),
            )
        located = asked
    return {
        "repo_id": located.repo_id,
        "repo_type": located.repo_type,
        "commit": located.commit,
        "filename": located.filename,
    }


def _key_now(located: Located, request: Request) -> Key | None:
    """None where nothing tells any more how to build it."""
    try:
        return want(located, request).key
    except FamilyError:
        return None


def _stale(model: LockedModel, request: Request) -> Iterator[Stale]:
    store = request.settings.open_store()
    try:
        located = locate_checkpoint(request, store)
    except NotFoundError:
        yield Stale(model.source, "commit", model.commit, None)
        return
    now: dict[str, str | None] = {}
    if isinstance(located, HubCheckpoint) and located.known_commit is not None:
        now["commit"] = located.known_commit
    if located.content_hash is not None:
        now["sha256"] = located.content_hash
        now["key"] = _key_now(located, request)
    now["licence"] = licence_of(located, located.content_hash, request).name
    entry = store.get(model.key)
    if entry is not None:
        now["weights_sha256"] = entry.record.weights_sha256
    locked = model.to_json()
    for fact in ("commit", "sha256", "licence", "key", "weights_sha256"):
        if now.get(fact, locked[fact]) != locked[fact]:
            yield Stale(model.source, fact, locked[fact], now[fact])
