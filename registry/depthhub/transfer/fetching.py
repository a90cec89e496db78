"""One whole file out of as many answers as it takes: begun, dropped, resumed, verified in the same pass.

A digest decides in the end, so bytes of different origin may be joined: an earlier answer, a partial file of a process
that was killed. If the joined bytes are wrong, everything is fetched once more from the first byte.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NoReturn, Protocol

from depthhub_cache.identity import ContentHash

from ..errors import IntegrityError
from ..progress import Progress, Report
from .attempts import Attempts
from .line import Answer
from .refusals import nonsense
from .remote import Asked, Promise
from .setback import Setback

_PART = 206
_NO_SUCH_RANGE = 416
_REPORT_EVERY = 0.1
_SEED_CHUNK = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]{1,19}/([0-9]{1,19}|\*)")


class Into(Protocol):
    """Where the bytes go, hashed while they are written: a `depthhub_cache.staging.StagedFile`, or memory."""

    @property
    def size(self) -> int: ...
    def write(self, data: bytes | memoryview, /) -> int: ...
    def sha256(self) -> ContentHash: ...
    def restart(self) -> None: ...


Ask = Callable[[int], AbstractContextManager[Answer]]
"""Asks for the bytes from an offset on; the answer is 200, 206 or 416, anything else has been raised."""


def fetch(
    asked: Asked,
    promise: Promise,
    into: Into,
    *,
    ask: Ask,
    attempts: Attempts,
    report: Report,
    seeds: Iterable[Path] = (),
    most: int = sys.maxsize,
) -> ContentHash:
    """Every byte of what was asked, verified, in `into`: their sha256.

    seeds: partial copies of the same file. most: bytes that are taken at all.
    Raises IntegrityError, with `into` empty, where the bytes are not those of `promise`, HubError and HubTimeoutError.
    """
    incoming = _Incoming(asked, promise, into, report, most)
    incoming.plant(seeds)
    _complete(incoming, ask, attempts)
    wrong = incoming.contradiction()
    if wrong is not None and incoming.joined:
        incoming.restart()
        _complete(incoming, ask, attempts)
        wrong = incoming.contradiction()
    if wrong is not None:
        incoming.restart()
        raise wrong
    return into.sha256()


def _complete(incoming: _Incoming, ask: Ask, attempts: Attempts) -> None:
    furthest = incoming.size
    while not incoming.is_complete:
        try:
            with ask(incoming.resume_at()) as answer:
                for _ in incoming.receive(answer):
                    attempts.check()
        except Setback as setback:
            if incoming.is_complete:
                return
            if incoming.size > furthest:
                furthest = incoming.size
                attempts.progressed()
            attempts.recover(setback)


class _Incoming:
    """The file so far. `joined`: it came in more than one piece, so that a wrong digest may be the seam's fault."""

    def __init__(self, asked: Asked, promise: Promise, into: Into, report: Report, most: int) -> None:
        self._asked = asked
        self._promise = promise
        self._into = into
        self._report = report
        self._most = most
        self._reported = 0.0
        self._told_size: int | None = None
        self._etag: str | None = None
        self._git_sha1 = _git_blob_hash(promise, promise.size)
        self.joined = False
        self.is_complete = False

    @property
    def size(self) -> int:
        return self._into.size

    @property
    def _expected(self) -> int | None:
        return self._told_size if self._promise.size is None else self._promise.size

    def plant(self, seeds: Iterable[Path]) -> None:
        """Begin with the bytes of the longest seed that can be read."""
        if not self._promise.has_digest:
            return
        for path in sorted(seeds, key=_size_of, reverse=True):
            if not 0 < _size_of(path) <= (self._promise.size or sys.maxsize):
                continue
            for chunk in _read(path):
                self._add(chunk)  # not told of, before the whole of it is here: it would look like speed
            if self.size:
                self.joined = True
                self.is_complete = self.size == self._promise.size
                return

    def restart(self) -> None:
        """Nothing is here any more, and nothing is known of the file but its promise."""
        self._into.restart()
        self._told_size = None
        self._etag = None
        self._git_sha1 = _git_blob_hash(self._promise, self._promise.size)
        self.joined = False
        self.is_complete = False

    def resume_at(self) -> int:
        """Where to go on: at the start where neither a digest nor a strong ETag would tell whether the parts fit."""
        if self.size and not self._promise.has_digest and self._etag is None:
            self.restart()
        return self.size

    def receive(self, answer: Answer) -> Iterator[None]:
        """Take an answer's bytes, one step per chunk. Raises Setback where they end too early or do not fit."""
        self._join(answer)
        ceiling = self._most if self._expected is None else self._expected
        if ceiling > self._most:
            raise nonsense(self._asked, f"{ceiling} bytes would come; at most {self._most} are read")
        self._tell(now=True)
        for chunk in answer.chunks:
            if self.size + len(chunk) > ceiling:
                raise nonsense(self._asked, f"more than {ceiling} bytes came")
            self._take(chunk)
            yield
        if self._expected is not None and self.size < self._expected:
            raise Setback(f"the connection ended after {self.size} of {self._expected} bytes")
        self.is_complete = True
        self._tell(now=True)

    def contradiction(self) -> IntegrityError | None:
        """The error that says how the bytes differ from the promise, or None."""
        kind, expected, found = "sha256", self._promise.sha256, str(self._into.sha256())
        if expected is None and self._promise.git_sha1 is not None:
            digest = "not known, since nobody told the size" if self._git_sha1 is None else self._git_sha1.hexdigest()
            kind, expected, found = "git's sha1", self._promise.git_sha1, digest
        if expected is None or expected == found:
            return None
        return IntegrityError(
            f"{self._asked}: the {self.size} bytes that came are not those that were promised: {kind} should be "
            f"{expected} and is {found}. Nothing was kept. Try again; if it stays so, a mirror or proxy changes the "
            "file, or the file on the Hub is not the one that is expected.",
            source=self._asked.source,
            expected=expected,
            found=found,
        )

    def _join(self, answer: Answer) -> None:
        """Check that the answer goes on where the file stands, or begins it anew."""
        etag, size = _strong_etag(answer.headers), None
        if answer.status == _NO_SUCH_RANGE:
            self._begin_anew("the Hub has no such part of the file")
        elif answer.status == _PART:
            start, size = _content_range(answer.headers)
            size = self._told_size if size is None else size
            if (
                start is None
                or start != self.size
                or self._told_size not in (None, size)
                or not self._same_version(etag)
            ):
                self._begin_anew("the rest belongs to another version of the file")
            self.joined = self.joined or start > 0
        else:
            size = _length(answer.headers)
            if self.size:  # a server that knows no ranges sends everything again
                self.restart()
        if None not in (size, self._promise.size) and size != self._promise.size:
            raise nonsense(self._asked, f"a file of {size} bytes came; it should have {self._promise.size}")
        self._told_size, self._etag = size, etag
        if self._git_sha1 is None and not self.size:
            self._git_sha1 = _git_blob_hash(self._promise, size)

    def _same_version(self, etag: str | None) -> bool:
        """Whether an answer belongs to what is here; where one of the two told no ETag, a digest has to tell."""
        if self._etag is None or etag is None:
            return self._promise.has_digest or not self.size
        return etag == self._etag

    def _begin_anew(self, reason: str) -> NoReturn:
        self.restart()
        raise Setback(reason)

    def _take(self, chunk: bytes) -> None:
        self._add(chunk)
        self._tell()

    def _add(self, chunk: bytes) -> None:
        self._into.write(chunk)
        if self._git_sha1 is not None:
            self._git_sha1.update(chunk)

    def _tell(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._reported >= _REPORT_EVERY:
            self._reported = time.monotonic()
            self._report(Progress(self._asked.source, "downloading", self.size, self._expected))


def _read(seed: Path) -> Iterator[bytes]:
    """As much as the disk gives: a seed saves time, and no more."""
    with suppress(OSError), seed.open("rb") as file:
        while chunk := file.read(_SEED_CHUNK):
            yield chunk


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _git_blob_hash(promise: Promise, size: int | None) -> hashlib._Hash | None:
    """git hashes the size before the content, so only a file of known size can be checked in one pass."""
    if promise.git_sha1 is None or size is None:
        return None
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def _strong_etag(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag")
    return None if etag is None or etag.startswith("W/") else etag


def _content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if re.fullmatch("[0-9]{1,19}", text) else None
