"""Entries that exist before they are needed: the story of `loading.py` for many sources, without its last step.

What is there is looked up first, one after the other, which needs neither torch nor a thread. What is missing is
fetched side by side, a few at a time; `steps/make.py` converts one after the other, which bounds the memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from depthhub_cache.identity import Key

from .errors import DepthHubError, OptionError
from .loading import Ensured, ensure_entry
from .progress import Progress, Report
from .steps.find import find_sound, want
from .steps.request import Request, SourceLike
from .steps.resolve import resolve as locate_checkpoint

if TYPE_CHECKING:
    import torch

SIDE_BY_SIDE = 4
"""Sources that are worked on at the same time: enough to fill a line, and polite to the Hub."""


class Prewarmed(NamedTuple):
    """One source that is in the cache now.

    cached: it was there before. size: bytes of the converted file. licence: of the weights, None where nobody states
    one. pushed: it was put into the remote store now; None where it was not to be.
    """

    source: str
    key: Key
    path: Path
    size: int
    cached: bool
    licence: str | None
    pushed: bool | None


def prewarm(
    sources: Iterable[SourceLike] | None = None,
    *,
    revision: str | None = None,
    device: torch.device | str = "cpu",  # noqa: ARG001  the same options as from_pretrained; nothing is loaded
    dtype: torch.dtype | str | None = None,
    family: str | None = None,
    max_depth: float | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    offline: bool | None = None,
    lockfile: str | os.PathLike[str] | None = None,
    refresh: bool = False,
    verify: bool = False,
    progress: Report | None = None,
) -> list[Prewarmed]:
    """Make the entries of `sources` exist before they are needed; what became of each, in their order.

    sources: None means all that the lockfile names, as it is written there. Downloads run side by side, so `progress`
    is called from several threads. Takes the options of `from_pretrained` (`device` changes nothing here) and raises
    what it raises, for the first source that fails; what was made until then stays. All sources are parsed before
    anything is done.
    """
    if isinstance(sources, (str, os.PathLike)):
        raise TypeError(f"prewarm takes a list of sources; write prewarm([{str(sources)!r}])")
    common: dict[str, Any] = {
        "cache_dir": cache_dir,
        "token": token,
        "offline": offline,
        "lockfile": lockfile,
        "refresh": refresh,
        "verify": verify,
        "progress": progress,
    }
    if sources is None:
        requests = locked_requests(**common)
    else:
        build: dict[str, Any] = {"dtype": dtype, "family": family, "max_depth": max_depth}
        requests = [Request.parse(source, revision=revision, **build, **common) for source in sources]
    made: dict[int, Prewarmed] = {}
    for place, outcome in outcomes(requests):
        if isinstance(outcome, DepthHubError):
            raise outcome
        made[place] = outcome
    return [made[place] for place in sorted(made)]


def locked_requests(**common: Any) -> list[Request]:
    """A request for each model of the lockfile. Raises OptionError where none is in force, and LockfileError."""
    from .lockfile import Lockfile
    from .settings import Settings

    path = Settings.resolve(cache_dir=common["cache_dir"], lockfile=common["lockfile"]).lockfile
    if path is None:
        raise OptionError(
            "There is no lockfile to take the sources from: name one with lockfile= or DEPTHHUB_LOCKFILE.",
            option="lockfile",
            value=None,
        )
    return [Request.parse(model.source, dtype=model.recipe.dtype, **common) for model in Lockfile.read(path).models]


def outcomes(requests: Sequence[Request]) -> Iterator[tuple[int, Prewarmed | DepthHubError]]:
    """What became of each request, by its place, as it becomes known: first of those that are there already.

    Where the consumer stops, what is under way is told to stop too, and leaves nothing half-made.
    """
    missing = {}
    for place, request in enumerate(requests):
        try:
            if there := _there(request):
                yield place, _prewarmed(there, request)
            else:
                missing[place] = request._replace(refresh=False)  # it was asked a moment ago
        except DepthHubError as error:
            yield place, error
    if missing:
        yield from _side_by_side(missing)


def _there(request: Request) -> Ensured | None:
    """The entry of a request if it is here."""
    store = request.settings.open_store()
    wanted = want(locate_checkpoint(request, store), request)
    entry = find_sound(wanted, request, store)
    return None if entry is None else Ensured(entry, wanted.located, store.lease(entry), cached=True)


def _prewarmed(ensured: Ensured, request: Request) -> Prewarmed:
    entry, _, lease, cached = ensured
    with lease:
        pushed = _push(ensured, request) if request.settings.push else None
        licence = entry.record.about.get("licence")
    return Prewarmed(
        source=str(request.source),
        key=entry.key,
        path=entry.weights,
        size=entry.record.weights_size,
        cached=cached,
        licence=licence if isinstance(licence, str) else None,
        pushed=pushed,
    )


def _push(ensured: Ensured, request: Request) -> bool:
    from .steps.from_remote import push

    return push(ensured.entry, request)


def _side_by_side(requests: dict[int, Request]) -> Iterator[tuple[int, Prewarmed | DepthHubError]]:
    from concurrent.futures import ThreadPoolExecutor, as_completed

    stopped = threading.Event()

    def work(request: Request) -> Prewarmed | DepthHubError:
        request = request._replace(report=_stopping(request.report, stopped))
        try:
            return _prewarmed(ensure_entry(request, request.settings.open_store()), request)
        except DepthHubError as error:
            return error

    pool = ThreadPoolExecutor(SIDE_BY_SIDE, "depthhub-prewarm")
    try:
        places = {pool.submit(work, request): place for place, request in requests.items()}
        for done in as_completed(places):
            yield places[done], done.result()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _stopping(report: Report, stopped: threading.Event) -> Report:
    def tell(progress: Progress) -> None:
        if stopped.is_set():
            raise _Stopped
        report(progress)

    return tell


class _Stopped(BaseException):
    """Ends a call whose outcome nobody waits for any more."""
