"""From a source to a located checkpoint: the file here, the catalog's pin, or what the Hub says."""

from __future__ import annotations

from pathlib import Path

from depthhub_cache.identity import ContentHash
from depthhub_cache.store import Store

from ..catalog import Catalog, CatalogEntry
from ..errors import SourceError
from ..hub_names import DEFAULT_REVISION
from ..source import CatalogName, HubFile, LocalFile
from .located import HubCheckpoint, Located
from .request import Request


def resolve(request: Request, store: Store) -> Located:
    """Where the checkpoint is and what it must be. Asks the Hub at most once, and only for what nobody remembers."""
    catalog = Catalog.known(request.settings.catalog)
    if isinstance(request.source, LocalFile):
        from .local_file import locate_local

        return locate_local(request.source.path, request, store, catalog)
    if request.lock is not None:
        from .locked import locate_locked

        return locate_locked(request.lock, request, catalog)
    match request.source:
        case CatalogName(name=name, revision=None):
            entry = catalog.find(name)
            entry.require_supported()
            if entry.sha256 is not None:
                return _pinned(entry, request)
            return _asked(_hub_file(entry, entry.revision), entry, request, store)
        case CatalogName(name=name, revision=revision):
            entry = catalog.find(name)
            entry.require_supported()
            return _asked(_hub_file(entry, revision), entry, request, store)
        case HubFile() as wanted:
            _refuse_ambiguous_path(wanted, request)
            return _from_hub(wanted, request, store, catalog)


def _from_hub(wanted: HubFile, request: Request, store: Store, catalog: Catalog) -> HubCheckpoint:
    entry = None
    if wanted.filename is not None:
        entry = catalog.by_file(wanted.repo_id, wanted.repo_type, wanted.filename)
    if entry is not None:
        entry.require_supported()
        if entry.sha256 is not None and entry.revision is not None and wanted.revision == entry.revision:
            return _pinned(entry, request)
    return _asked(wanted, entry, request, store)


def _asked(wanted: HubFile, entry: CatalogEntry | None, request: Request, store: Store) -> HubCheckpoint:
    from .hub_file import ask_once  # a file of the user's own, or a pin, needs none of it

    return ask_once(wanted, entry, request, store)


def _pinned(entry: CatalogEntry, request: Request) -> HubCheckpoint:
    """The catalog knows the digest: nothing to ask. Where the commit is only a hint, main is the second try."""
    revisions = (entry.revision,) if entry.revision else (entry.revision_hint, DEFAULT_REVISION)
    return HubCheckpoint(
        source=str(request.source),
        repo_id=entry.repo_id,
        repo_type=entry.repo_type,
        filename=entry.filename,
        commits=tuple(revision for revision in revisions if revision),
        content_hash=ContentHash(entry.sha256) if entry.sha256 else None,
        git_sha1=None,
        size=entry.size,
        entry=entry,
        stated=None,
        config_asked=False,
        pinned=True,
        ref=None,
        remembered_at=None,
    )


def _hub_file(entry: CatalogEntry, revision: str | None) -> HubFile:
    return HubFile(repo_id=entry.repo_id, filename=entry.filename, revision=revision, repo_type=entry.repo_type)


def _refuse_ambiguous_path(wanted: HubFile, request: Request) -> None:
    """`a/b/c.pth` is a Hub file by the grammar; where such a file lies here too, the user has to say which."""
    kind = "spaces/" if wanted.repo_type == "space" else ""
    text = kind + (f"{wanted.repo_id}/{wanted.filename}" if wanted.filename else wanted.repo_id)
    if not request.explicit_hub and Path(text).exists():
        raise SourceError(
            f"{text} is a Hub file, but a local path of that name exists too. "
            f"Write ./{text} for the file here, or hf://{text} for the Hub.",
            text=text,
        )
