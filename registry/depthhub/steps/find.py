"""Which entry is wanted, and whether it is there."""

from typing import NamedTuple

from depthhub_cache.entry import Entry
from depthhub_cache.identity import ContentHash, Key, make_key
from depthhub_cache.store import Store

from ..catalog import Catalog
from ..checkpoint.header import read_header
from ..checkpoint.recipe import Recipe
from ..errors import BrokenEntryError, CheckpointError
from ..progress import Progress
from .decide import decide
from .located import Located
from .request import Request


class Wanted(NamedTuple):
    """A checkpoint, and the recipe and the key of its entry; both None while only a download can tell its hash."""

    located: Located
    recipe: Recipe | None
    key: Key | None


def want(located: Located, request: Request) -> Wanted:
    """Decide how to build what was located, and so which entry is wanted.

    Raises LicenceError, and NotLockedError where a lockfile is in force that has another one.
    """
    if request.settings.allow_licences is not None:
        from .licence import require_licence  # most callers allow all, and have no lockfile

        require_licence(located, located.content_hash, request)
    if located.content_hash is None:
        return Wanted(located, None, None)
    recipe = decide(request, located, located.content_hash)
    key = make_key(located.content_hash, recipe.to_json())
    if request.lock is not None:
        request.lock.require(key, located.content_hash, request.source, Catalog.known(request.settings.catalog))
    return Wanted(located, recipe, key)


def learned(located: Located, content_hash: ContentHash, recipe: Recipe) -> Wanted:
    """Which entry is wanted of a checkpoint whose content hash a download has told."""
    return Wanted(located._replace(content_hash=content_hash), recipe, make_key(content_hash, recipe.to_json()))


def _find(wanted: Wanted, request: Request, store: Store) -> Entry | None:
    """The wanted entry if it is there. Raises MismatchError where its name or a config.json promises another one."""
    entry = store.get(wanted.key) if wanted.key is not None else None
    try:
        if entry is not None:
            require_promised_entry(entry, wanted.located, request)
    except CheckpointError:  # gone since
        return None
    return entry


def require_promised_entry(entry: Entry, located: Located, request: Request) -> None:
    """Raises MismatchError where the entry is not what its name or a config.json promises; else what `read_header`
    raises.
    """
    by_name = located.entry is not None and located.entry.sha256 != located.content_hash
    by_config = located.stated is not None and located.stated.config is not None
    if by_name or by_config:
        from .promised import require_promised

        found, layout = read_header(entry.weights).config, entry.record.about.get("layout")
        require_promised(found, layout if isinstance(layout, str) else None, located, request, entry.weights)


def find_sound(wanted: Wanted, request: Request, store: Store) -> Entry | None:
    """The wanted entry if it is there, and as the caller wants it: as it is locked, or verified byte by byte."""
    while (entry := _find(wanted, request, store)) and not _is_as_wanted(entry, request, store):
        pass  # it is not given again; there may be another one in a tier below
    return entry


def as_wanted(made: Entry, request: Request, store: Store) -> Entry:
    """The entry that was made just now, or what another process has published in its place, with bytes of its own.

    Raises IntegrityError where they are not the locked ones, BrokenEntryError where they are not what the record says.
    """
    entry: Entry | None = made
    while entry is not None and not _is_as_wanted(entry, request, store):
        entry = store.get(entry.key)
    if entry is None:
        raise BrokenEntryError(
            f"{request.source}: before it could be verified the entry {made.path} was removed by another process, or "
            "it was damaged, and is set aside. Try again.",
            path=made.path,
        )
    return entry


def _is_as_wanted(entry: Entry, request: Request, store: Store) -> bool:
    if request.lock is not None:
        from .locked import is_as_locked

        if not is_as_locked(request.lock, entry, request, store):
            return False
    return not request.verify or _is_sound(entry, request, store)


def _is_sound(entry: Entry, request: Request, store: Store) -> bool:
    """Whether every byte of `entry` is as it was published; if not, it is not given again.

    Not so either, but no fault of it, where another one has taken its place: what is verified is what is loaded.
    """
    request.report(Progress(str(request.source), "verifying", 0, entry.record.weights_size))
    try:
        verified = store.verify(entry, deep=True)
    except BrokenEntryError as error:
        store.distrust(entry, error.reason)
        return False
    return (verified.identity, verified.state) == (entry.identity, entry.state)
