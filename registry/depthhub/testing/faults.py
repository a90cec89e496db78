"""What can go wrong on the way from the Hub, to be injected into a LocalHub.

    hub.inject(Fault.drop(after=1000))                          # the next file's bytes stop short
    hub.inject(Fault.status(503), times=3, method="HEAD")       # the next three HEADs
    hub.inject(Fault.stall(60), times=None, path="model.pth")   # every request for that file, until `heal`

A fault may change the answer (`spoil`), act before it (`before`), or send its body in its own way (`send`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from depthhub.testing.answers import Answer, Slice, content, redirect_loop, refusal


class Line(Protocol):
    """The connection to the client, as a fault sees it."""

    def send(self, data: bytes) -> None: ...

    def wait(self, seconds: float) -> None:
        """Send nothing for so long; ends early, and with it the connection, when the hub closes."""

    def hang_up(self) -> None:
        """End the connection in good order, whatever was promised."""

    def reset(self) -> None:
        """End the connection with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with one request. Made by the functions of this class.

    Faults of content (drop, truncated, corrupted, trickle, refuse_ranges; reset and stall with `after`) wait
    for a GET that is answered with a file's content: a HEAD, a redirect or an API answer does not use them up.
    `after` counts the bytes of that answer's body.
    """

    of_content: ClassVar[bool] = True
    """True: needs an answer that carries a file's content."""

    silent: ClassVar[bool] = False
    """True: the client never sees a status."""

    @staticmethod
    def drop(*, after: int) -> Fault:
        """The connection ends after so many bytes of the body; Content-Length promised all of them."""
        return _Drop(after)

    @staticmethod
    def reset(*, after: int | None = None) -> Fault:
        """A TCP reset (RST) after so many bytes of the body, or in place of any answer.

        A reset discards what has not arrived yet, so a client that reads slowly may get fewer bytes.
        """
        return _ResetFirst() if after is None else _Reset(after)

    @staticmethod
    def stall(seconds: float, *, after: int | None = None) -> Fault:
        """Silence for `seconds` after so many bytes of the body, or before any answer; then all goes on."""
        return _StallFirst(seconds) if after is None else _Stall(seconds, after)

    @staticmethod
    def trickle(*, size: int = 1, pause: float = 0.1) -> Fault:
        """The body comes `size` bytes at a time, `pause` seconds apart."""
        return _Trickle(size, pause)

    @staticmethod
    def truncated(*, to: int) -> Fault:
        """Only the first `to` bytes of the file, with a Content-Length that is honest about it.

        For a Content-Length that is not, see `drop`.
        """
        return _Truncated(to)

    @staticmethod
    def corrupted(*, at: int | None = None) -> Fault:
        """The right size, but the byte at offset `at` of the file (None: its middle) has its bits flipped."""
        return _Corrupted(at)

    @staticmethod
    def refuse_ranges() -> Fault:
        """The whole file with status 200, whatever range was asked for."""
        return _RefuseRanges()

    @staticmethod
    def status(
        status: int,
        *,
        retry_after: float | str | None = None,
        code: str | None = None,
        message: str = "Injected",
    ) -> Fault:
        """An error. `retry_after`: seconds or an HTTP date; `code`, `message`: X-Error-Code, X-Error-Message."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return _Instead(refusal(status, code, message, headers=headers))

    @staticmethod
    def html(*, status: int = 200) -> Fault:
        """A web page in place of the answer, as captive portals and company proxies send."""
        return _Instead(Answer(status=status, headers={"Content-Type": "text/html"}, body=_PAGE))

    @staticmethod
    def redirect_loop() -> Fault:
        """A redirect to a path that redirects to itself for ever."""
        return _Instead(redirect_loop())

    @staticmethod
    def without_headers(*names: str) -> Fault:
        """The answer lacks these headers, as when a mirror does not know them (`X-Repo-Commit`, `ETag`)."""
        return _WithoutHeaders(frozenset(name.lower() for name in names))

    def spoil(self, answer: Answer, /) -> Answer:
        """What is answered instead of `answer`."""
        return answer

    def before(self, line: Line) -> None:
        """What happens before the status line is sent."""

    def send(self, answer: Answer, line: Line) -> None:
        """Send the body of `answer`."""
        _send(line, answer.read())


@dataclass(frozen=True, slots=True)
class _Drop(Fault):
    after: int

    def send(self, answer: Answer, line: Line) -> None:
        _send(line, answer.read(0, self.after))
        line.hang_up()


@dataclass(frozen=True, slots=True)
class _Reset(Fault):
    after: int

    def send(self, answer: Answer, line: Line) -> None:
        _send(line, answer.read(0, self.after))
        line.reset()


@dataclass(frozen=True, slots=True)
class _ResetFirst(Fault):
    of_content = False
    silent = True

    def before(self, line: Line) -> None:
        line.reset()


@dataclass(frozen=True, slots=True)
class _Stall(Fault):
    seconds: float
    after: int

    def send(self, answer: Answer, line: Line) -> None:
        _send(line, answer.read(0, self.after))
        line.wait(self.seconds)
        _send(line, answer.read(self.after))


@dataclass(frozen=True, slots=True)
class _StallFirst(Fault):
    seconds: float
    of_content = False

    def before(self, line: Line) -> None:
        line.wait(self.seconds)


@dataclass(frozen=True, slots=True)
class _Trickle(Fault):
    size: int
    pause: float

    def send(self, answer: Answer, line: Line) -> None:
        for at in range(0, answer.length, self.size):
            _send(line, answer.read(at, at + self.size))
            line.wait(self.pause)


@dataclass(frozen=True, slots=True)
class _Truncated(Fault):
    to: int

    def spoil(self, answer: Answer, /) -> Answer:
        part = _slice(answer)
        asked = f"bytes={part.start}-{part.stop - 1}" if answer.status == 206 else None
        return content(replace(part.blob, size=min(self.to, part.blob.size)), asked, headers=_hub_headers(answer))


@dataclass(frozen=True, slots=True)
class _RefuseRanges(Fault):
    def spoil(self, answer: Answer, /) -> Answer:
        return content(_slice(answer).blob, None, headers=_hub_headers(answer))


@dataclass(frozen=True, slots=True)
class _Corrupted(Fault):
    at: int | None

    def send(self, answer: Answer, line: Line) -> None:
        part = _slice(answer)
        flipped = (part.blob.size // 2 if self.at is None else self.at) - part.start
        if not 0 <= flipped < answer.length:
            _send(line, answer.read())
            return
        _send(line, answer.read(0, flipped))
        _send(line, (bytes([byte ^ 0xFF]) for (byte,) in answer.read(flipped, flipped + 1)))
        _send(line, answer.read(flipped + 1))


@dataclass(frozen=True, slots=True)
class _Instead(Fault):
    answer: Answer
    of_content = False

    def spoil(self, _: Answer, /) -> Answer:
        return self.answer


@dataclass(frozen=True, slots=True)
class _WithoutHeaders(Fault):
    names: frozenset[str]
    of_content = False

    def spoil(self, answer: Answer, /) -> Answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in self.names}
        return replace(answer, headers=kept)


_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Accept the terms.</body></html>\n"


def _send(line: Line, chunks: Iterator[bytes]) -> None:
    for chunk in chunks:
        line.send(chunk)


def _slice(answer: Answer) -> Slice:
    """The part of a file that an answer carries, which is what `of_content` promises."""
    if isinstance(answer.body, bytes):
        raise TypeError("a fault of content met an answer without a file")
    return answer.body


def _hub_headers(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("X-")}
