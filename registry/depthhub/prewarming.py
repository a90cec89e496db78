"""Entries that exist before they are needed: the story of `loading.py` for many sources, without its last step.

A few sources are worked on side by side: the Hub or a remote store is asked and downloads run at the same time, while
`steps/make.py` converts one after the other, which bounds the memory. What is there needs no torch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from depthhub_cache.entry import Entry
from depthhub_cache.identity import Key

from .errors import DepthHubError, OptionError
from .loading import ensure_entry
from .progress import Progress, Report
from .steps.held import lease_what_is_there
from .steps.licence import licence_of_entry
from .steps.request import Request, SourceLike

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
    is called from several threads. Takes the options of `from_pretrained` (`device` changes nothing here). All sources
    are parsed before anything is done. Where some fail, the others are made all the same; then the error of the first
    one is raised, of those that `from_pretrained` raises, RemoteError where it could not be pushed.
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
    became = dict(outcomes(requests))
    made = []
    for place in range(len(requests)):
        outcome = became[place]
        if isinstance(outcome, DepthHubError):
            raise outcome
        made.append(outcome)
    return made


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
    lock = Lockfile.read(path)
    common["lockfile"] = path
    parsed = (Request.parse(model.source, dtype=model.recipe.dtype, locked=False, **common) for model in lock.models)
    return [request._replace(lock=lock) for request in parsed]


Outcome = TypeVar("Outcome")


def outcomes(requests: Sequence[Request]) -> Iterator[tuple[int, Prewarmed | DepthHubError]]:
    """What became of each request, by its place, as it becomes known.

    Where the consumer stops, what is under way is told to stop too, and leaves nothing half-made. Raises SettingsError
    or RemoteSetupError, before anything is done, where there is no remote store to push to.
    """
    for settings in {request.settings for request in requests if request.settings.push}:
        from .steps.from_remote import require_writable

        require_writable(settings)
    return _leased_until_all_are_there(requests)


def _leased_until_all_are_there(requests: Sequence[Request]) -> Iterator[tuple[int, Prewarmed | DepthHubError]]:
    """Else a standing budget that has no room for all would take the first ones away again, or what is there."""
    with ExitStack() as leases:
        lease_what_is_there(requests, leases)
        yield from side_by_side(partial(_prewarm, leases=leases), requests)


def side_by_side(
    work: Callable[[Request], Outcome], requests: Sequence[Request]
) -> Iterator[tuple[int, Outcome | DepthHubError]]:
    """What `work` makes of each request, or its error, by its place, as it becomes known; a few at the same time."""
    stopped = threading.Event()

    def outcome(request: Request) -> Outcome | DepthHubError:
        try:
            return work(request._replace(report=_stopping(request.report, stopped)))
        except DepthHubError as error:
            return error

    if len(requests) == 1:  # to find what is there takes less than a thread does to begin
        yield 0, outcome(requests[0])
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    pool = ThreadPoolExecutor(SIDE_BY_SIDE, "depthhub-prewarm")
    try:
        places = {pool.submit(outcome, request): place for place, request in enumerate(requests)}
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


def _prewarm(request: Request, leases: ExitStack) -> Prewarmed:
    entry, located, lease, cached = ensure_entry(request, request.settings.open_store())
    leases.enter_context(lease)
    pushed = _push(entry, request) if request.settings.push else None
    return Prewarmed(
        source=str(request.source),
        key=entry.key,
        path=entry.weights,
        size=entry.record.weights_size,
        cached=cached,
        licence=licence_of_entry(entry, located, request),
        pushed=pushed,
    )


def _push(entry: Entry, request: Request) -> bool:
    from .steps.from_remote import push

    return push(entry, request)
