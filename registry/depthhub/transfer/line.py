"""One GET over the session of the Hub's client, whichever library that stands on: requests, httpx or httpx2.

huggingface_hub moved from requests to httpx in 1.0 and to httpx2 in 2.0. The three differ in how a body is streamed and
in what they raise; both end here. Redirects are followed here, and not by the library: so each hop has its time
limit, a circle is told as one, and the token stays with the host that it is for.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from ..errors import DepthHubError
from .setback import Limit, Setback

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_CHUNK = 1 << 18
_SMALL_CHUNK = 1 << 12

Timeouts = Callable[[], tuple[float, float]]
"""Gives the seconds that the next hop may take to connect, and may be silent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `headers` are found in any case; `chunks` is the body as it arrives, raising Setback."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Line:
    """The way to the Hub: `session` is the client's own, `library` the module that it stands on."""

    def __init__(self, session: Any, library: str) -> None:
        self._session = session
        self._is_requests = library == "requests"
        module = import_module(library)
        self._errors: tuple[type[Exception], ...]
        if self._is_requests:
            # A body that is read as it arrives raises what the library below raises.
            below = import_module("urllib3.exceptions")
            self._errors = (module.RequestException, below.HTTPError, OSError, ValueError)  # it looks into redirects
        else:
            # UnicodeError: a host that can have no address.
            self._errors = (module.HTTPError, module.InvalidURL, module.StreamError, OSError, UnicodeError)

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], timeouts: Timeouts) -> Iterator[Answer]:
        """The answer at the end of all redirects, whatever its status. Raises Setback where there is none."""
        seen = set[str]()
        sent = dict(headers)
        while len(seen) <= _MOST_REDIRECTS:
            seen.add(url)
            with self._hop(url, sent, timeouts()) as answer:
                if answer.status not in _REDIRECTS:
                    yield answer
                    return
                target = _target(url, answer)
            if target in seen:
                raise _lost(f"{_host(url)} redirects in a circle")
            if not _may_have_token(url, target):
                sent.pop("authorization", None)
            url = target
        raise _lost(f"more than {_MOST_REDIRECTS} redirects, the last one from {_host(url)}")

    @contextmanager
    def _hop(self, url: str, headers: Mapping[str, str], timeouts: tuple[float, float]) -> Iterator[Answer]:
        with self._errors_as_setbacks(url):
            opened = self._open(url, headers, timeouts)
            response = opened.__enter__()
        try:
            yield Answer(response.status_code, response.headers, self._chunks(response, url))
        finally:
            with suppress(*self._errors):  # an unread rest is given up, and the connection with it
                opened.__exit__(None, None, None)

    def _open(self, url: str, headers: Mapping[str, str], timeouts: tuple[float, float]) -> AbstractContextManager[Any]:
        connect, silence = timeouts
        opened: AbstractContextManager[Any]
        if self._is_requests:
            opened = self._session.get(
                url, headers=headers, stream=True, allow_redirects=False, timeout=(connect, silence)
            )
        else:
            limits = (connect, silence, silence, connect)  # connect, read, write, pool
            opened = self._session.stream("GET", url, headers=headers, follow_redirects=False, timeout=limits)
        return opened

    def _chunks(self, response: Any, url: str) -> Iterator[bytes]:
        """The body as it came over the wire, in pieces as they arrive: a slow one must not wait to fill a buffer."""
        with self._errors_as_setbacks(url):
            if not self._is_requests:
                yield from response.iter_raw()
            elif hasattr(response.raw, "read1"):  # urllib3 2.1 and later
                while chunk := response.raw.read1(_CHUNK, decode_content=False):
                    yield chunk
            else:
                # Waits for a whole chunk: a small one, so that a trickle meets its limit here too.
                while chunk := response.raw.read(_SMALL_CHUNK, decode_content=False):
                    yield chunk

    @contextmanager
    def _errors_as_setbacks(self, url: str) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            # Not chained: errors of these libraries carry whole URLs, with the CDN's signatures in them.
            raise _setback(error, _host(url)) from None


def _target(url: str, answer: Answer) -> str:
    location = answer.headers.get("location")
    try:
        target = urljoin(url, location or "")
        urlsplit(target).port  # noqa: B018 - raises ValueError where it is not a number
    except ValueError:
        location = None
    if not location or urlsplit(target).scheme not in ("http", "https"):
        raise _lost(f"{_host(url)} redirects to nowhere (status {answer.status})")
    return target


def _may_have_token(url: str, target: str) -> bool:
    """Within one origin, and from http to https of the same host."""
    before, after = urlsplit(url), urlsplit(target)
    upgraded = (before.scheme, after.scheme) == ("http", "https") and (_port(before), _port(after)) == (80, 443)
    same = before.scheme == after.scheme and _port(before) == _port(after)
    return before.hostname == after.hostname and (same or upgraded)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _lost(reason: str) -> Setback:
    return Setback(
        reason,
        hopeless=True,
        advice="A Hub does not do that: a mirror (HF_ENDPOINT) or a proxy between here and the Hub is broken.",
    )


def _setback(error: BaseException, host: str) -> Setback:
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Setback(
            f"the certificate of {host} cannot be verified ({_text(causes[-1])})",
            hopeless=True,
            advice="Behind a proxy that opens TLS, name its certificate with SSL_CERT_FILE (or REQUESTS_CA_BUNDLE).",
        )
    return Setback(f"{host}: {_text(causes[-1])}", limit=_limit(causes), hopeless=_is_about_the_url(causes[0]))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """From what the library raised down to what the system said; not into what a caller was handling before."""
    yield error
    below = error.__cause__ or error.__context__
    if below is not None and _is_of_the_network(below):
        yield from _causes(below)


def _is_of_the_network(error: BaseException) -> bool:
    libraries = ("requests", "urllib3", "http", "h11", "h2")  # http: also httpx, httpx2, and what they stand on
    return (
        type(error) is OSError
        or isinstance(error, ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError)
        or type(error).__module__.startswith(libraries)
    ) and not isinstance(error, DepthHubError)


def _limit(causes: list[BaseException]) -> Limit | None:
    # By name, which the three libraries share; not by base class, where urllib3 calls a refused connection a timeout.
    names = {type(cause).__name__ for cause in causes}
    if names & {"ConnectTimeout", "ConnectTimeoutError", "PoolTimeout"}:
        return "connect_timeout"
    if names & {"ReadTimeout", "ReadTimeoutError", "WriteTimeout"}:
        return "stall_timeout"
    return None


def _is_about_the_url(error: BaseException) -> bool:
    return isinstance(error, ValueError) or type(error).__name__ in ("InvalidURL", "UnsupportedProtocol")


def _text(error: BaseException) -> str:
    said = re.sub(r"\?\S+", "?...", str(error))[:200]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
