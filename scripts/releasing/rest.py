"""GitHub's REST interface over plain HTTP: one request, one answer, and which failures may pass."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from .errors import ReleaseError

T = TypeVar("T")

WAITS = (2.0, 10.0, 30.0, 60.0)
"""Seconds before what has failed in a way that may pass is tried again."""

_LONGEST_WAIT = 300.0  # that a Retry-After is granted
_TIMEOUT = 120.0  # without anything happening
_ANSWER_LIMIT = 64 << 20
_MAY_PASS = frozenset({408, 429, 500, 502, 503, 504})


class MayPass(Exception):  # noqa: N818  it is none until it has not passed
    """What may be different in a while. wait: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Answer(NamedTuple):
    """status: of HTTP. data: the JSON, None where there is none."""

    status: int
    data: Any


class Rest:
    """Requests with a token, each over a connection of its own. Redirects are not followed: the token stays here."""

    def __init__(self, token: str) -> None:
        self._token = token

    def ask(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, object] | None = None,
        file: tuple[Iterable[bytes], int] | None = None,
        accept: str = "application/vnd.github+json",
    ) -> Answer:
        """data: sent as JSON. file: sent as it comes, with its size.

        Raises MayPass; every other answer is the caller's to judge.
        """
        headers = {
            "Accept": accept,
            "Authorization": f"Bearer {self._token}",
            "User-Agent": "depthhub-release",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        body: Any = None
        if data is not None:
            body, headers["Content-Type"] = json.dumps(data).encode(), "application/json"
        if file is not None:
            body, headers["Content-Type"] = file[0], "application/octet-stream"
            headers["Content-Length"] = str(file[1])
        try:
            with _connected(url) as connection:
                connection.request(method, _target(url), body, headers)
                response = connection.getresponse()
                text = response.read(_ANSWER_LIMIT)
        except (OSError, http.client.HTTPException) as error:
            raise MayPass(f"{method} {_shown(url)} broke off: {type(error).__name__}: {error}") from error
        if response.status in _MAY_PASS or (response.status == 403 and response.headers.get("Retry-After")):
            raise MayPass(
                f"{method} {_shown(url)} answered {response.status}", _wait(response.headers.get("Retry-After"))
            )
        return Answer(response.status, _parsed(text, response.headers.get("Content-Type", "")))


def patiently(work: Callable[[], T], waits: Sequence[float] = WAITS) -> T:
    """What `work` returns. It is done again where it failed in a way that may pass, and must look anew by itself.

    Raises ReleaseError where it does not pass.
    """
    for seconds in (*waits, None):
        try:
            return work()
        except MayPass as error:
            if seconds is None:
                raise ReleaseError(f"{error}, {len(waits) + 1} times. Run this step again later.") from error
            time.sleep(max(seconds, min(error.wait or 0.0, _LONGEST_WAIT)))
    raise AssertionError("the last attempt returns or raises")


def refusal(answer: Answer, what: str) -> ReleaseError:
    """The error for an answer that is not the one that was hoped for."""
    said = answer.data.get("message") if isinstance(answer.data, dict) else None
    advice = " Does the token have `contents: write` there?" if answer.status in (401, 403, 404) else ""
    errors = answer.data.get("errors") if isinstance(answer.data, dict) else None
    return ReleaseError(
        f"GitHub refused to {what}: {answer.status} {said or ''}{f' {json.dumps(errors)}' if errors else ''}.{advice}"
    )


@contextmanager
def _connected(url: str) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, timeout=_TIMEOUT, context=context
        )
    elif parts.hostname in ("127.0.0.1", "localhost", "::1"):
        connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
    else:
        raise ReleaseError(f"{_shown(url)} is no https:// address; a token is sent there.")
    with closing(connection):
        yield connection


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _shown(url: str) -> str:
    return url.partition("?")[0]


def _wait(stated: str | None) -> float | None:
    return float(stated) if stated and stated.isdigit() else None


def _parsed(text: bytes, content_type: str) -> Any:
    if not text:
        return None
    if "json" not in content_type:
        return text.decode(errors="replace").strip()
    try:
        return json.loads(text)
    except ValueError as error:
        raise MayPass(f"the answer is no JSON: {error}") from error
