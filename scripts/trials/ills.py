"""Everything that a LocalHub can do wrong, at every stage of a first call: what the trial `hub` goes through."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from depthhub.testing import Fault, LocalHub

from .samples import FILE

Stage = Literal["list of files", "config.json", "redirect", "content"]

_HUGE = 3600.0
_STALL = 2.0
"""Seconds: longer than the trial lets a server be silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ill:
    """A fault at a stage. passes: once over, the call goes on and succeeds. make: anew for each call."""

    name: str
    stage: Stage
    make: Callable[[], Fault]
    passes: bool

    def __str__(self) -> str:
        return f"{self.name} at {self.stage}"

    def inject(self, hub: LocalHub, *, times: int | None) -> None:
        hub.inject(self.make(), times=times, path=_PATHS[self.stage], host="cdn" if self.stage == "content" else "hub")


_PATHS: dict[Stage, str] = {
    "list of files": "/api/models/owner/repo",
    "config.json": "config.json",
    "redirect": f"/{FILE}",
    "content": f"/{FILE}",
}


def every_ill(*, config_size: int, size: int) -> list[Ill]:
    """All faults at all stages. size, config_size: bytes of the checkpoint and of the config.json beside it."""
    stages: tuple[Stage, ...] = ("list of files", "config.json", "redirect", "content")
    found = [ill for stage in stages for ill in _of_any_answer(stage)]
    found += _of_content("config.json", config_size)
    found += _of_content("content", size)
    return found


def _of_any_answer(stage: Stage) -> Iterator[Ill]:
    def ill(name: str, make: Callable[[], Fault], *, passes: bool) -> Ill:
        return Ill(name=name, stage=stage, make=make, passes=passes)

    yield ill("reset", lambda: Fault.reset(), passes=True)
    yield ill("silence", lambda: Fault.stall(_STALL), passes=True)
    for status in (408, 429, 500, 502, 503, 504):
        yield ill(f"status {status}", lambda status=status: Fault.status(status), passes=True)  # type: ignore[misc]
    for status in (400, 401, 403, 404, 410, 416, 418, 451):
        yield ill(f"status {status}", lambda status=status: Fault.status(status), passes=False)  # type: ignore[misc]
    for code in ("RepoNotFound", "RevisionNotFound", "EntryNotFound", "GatedRepo"):
        yield ill(code, lambda code=code: Fault.status(404, code=code), passes=False)  # type: ignore[misc]
    yield ill("a short Retry-After", lambda: Fault.status(429, retry_after=0.1), passes=True)
    yield ill("a long Retry-After", lambda: Fault.status(503, retry_after=_HUGE), passes=False)
    yield ill("a late date in Retry-After", lambda: Fault.status(429, retry_after=_in_an_hour()), passes=False)
    yield ill("a senseless Retry-After", lambda: Fault.status(503, retry_after="soon"), passes=True)
    yield ill("a web page", lambda: Fault.html(), passes=False)
    yield ill("a web page with status 503", lambda: Fault.html(status=503), passes=True)
    yield ill("a redirect loop", lambda: Fault.redirect_loop(), passes=False)
    for header in ("X-Repo-Commit", "ETag", "X-Linked-Etag", "X-Linked-Size", "Accept-Ranges", "Content-Type"):
        yield ill(f"no {header}", lambda header=header: Fault.without_headers(header), passes=True)  # type: ignore[misc]
    yield ill("no Location", lambda: Fault.without_headers("Location"), passes=stage in ("list of files", "content"))


def _of_content(stage: Stage, size: int) -> Iterator[Ill]:
    def ill(name: str, make: Callable[[], Fault], *, passes: bool) -> Ill:
        return Ill(name=name, stage=stage, make=make, passes=passes)

    for at in (0, 1, size // 2, size - 1):
        yield ill(f"a drop after {at}", lambda at=at: Fault.drop(after=at), passes=True)  # type: ignore[misc]
        yield ill(f"a reset after {at}", lambda at=at: Fault.reset(after=at), passes=True)  # type: ignore[misc]
        yield ill(f"silence after {at}", lambda at=at: Fault.stall(_STALL, after=at), passes=True)  # type: ignore[misc]
        yield ill(f"cut to {at}", lambda at=at: Fault.truncated(to=at), passes=False)  # type: ignore[misc]
        yield ill(f"a wrong byte at {at}", lambda at=at: Fault.corrupted(at=at), passes=False)  # type: ignore[misc]
    yield ill("a trickle", lambda: Fault.trickle(size=max(1, size // 5), pause=0.01), passes=True)
    yield ill("an endless trickle", lambda: Fault.trickle(size=max(1, size // 100), pause=0.1), passes=False)
    yield ill("no ranges", lambda: Fault.refuse_ranges(), passes=True)


def _in_an_hour() -> str:
    return email.utils.formatdate(time.time() + _HUGE, usegmt=True)
