"""Whether what is at an address is a Hub, and what it says of a token: one question, and no second try.

The question is whose token is sent. Without one a Hub refuses to say, in its own way, which is as good an answer:
nothing is looked at, and nothing is counted as a download.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import AccessError, DepthHubError, HubError, HubTimeoutError
from ..settings import Settings
from .line import Answer, Line
from .refusals import nonsense, refuse
from .remote import Asked
from .setback import Setback

PATH = "/api/whoami-v2"
TOTAL = 10.0
"""Seconds for the whole question, whatever the settings allow."""

_MORE = 2.0
"""Seconds after which not even the limits are trusted: no library bounds the time that a name takes to be resolved."""

_MOST = 1 << 18
_TOO_MANY = 429
_LEFT = re.compile(r"\br=(\d+)\s*;\s*t=(\d+)")
_NETWORK = "If others can reach it, look at the network, the proxy settings and HF_ENDPOINT."


@dataclass(frozen=True, slots=True, kw_only=True)
class HubState:
    """What was found. None: not known. No token is in it.

    offline: why nothing was asked. reachable: something answered. is_hub: it answered as a Hub does; None also where
    it does not know the question, as some mirrors. token: where the one that was sent comes from, in words.
    user: whose it is. retry_after: seconds that one is asked to wait. left: requests until the limit, which begins
    anew after `reset` seconds. seconds: until the answer was here. error: of the Hub, token_error: of the token.
    """

    endpoint: str
    offline: str | None = None
    reachable: bool | None = None
    is_hub: bool | None = None
    token: str | None = None
    token_valid: bool | None = None
    user: str | None = None
    rate_limited: bool = False
    retry_after: float | None = None
    left: int | None = None
    reset: float | None = None
    seconds: float | None = None
    error: DepthHubError | None = None
    token_error: DepthHubError | None = None


class _TheHub(Asked):
    """A question about the Hub itself, as messages name it."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.endpoint

    @property
    def page(self) -> str:
        return f"{self.endpoint}/settings/tokens"

    @property
    def source(self) -> str:
        return self.endpoint


def the_hub(endpoint: str) -> Asked:
    """What to ask about: the Hub at `endpoint`, in a form that may be shown."""
    return _TheHub(endpoint=endpoint, repo_id="", repo_type="model", revision="", filename=None, token=None)


def look(line: Line, url: str, headers: Mapping[str, str], asked: Asked, settings: Settings) -> HubState:
    """Ask once, and say what came. Raises nothing that the network or the other side could cause."""
    clock = _Clock(settings)
    state = HubState(endpoint=asked.endpoint, token=asked.token)
    try:
        with line.get(url, headers, clock.timeouts) as answer:
            state = replace(state, reachable=True, **_limits(answer.headers))
            state = _judge(answer, asked, state, clock)
    except Setback as setback:
        state = _failed(setback, asked, state, clock)
    except DepthHubError as error:
        state = replace(state, is_hub=not isinstance(error, HubError), error=error)
    return replace(state, seconds=clock.seconds)


def within_limits(work: Callable[[], HubState], asked: Asked) -> HubState:
    """What `work` says, or that it has said nothing for too long; it is left alone then."""
    said: list[HubState | BaseException] = []

    def run() -> None:
        try:
            said.append(work())
        except BaseException as error:  # noqa: BLE001  it is the caller's, in whatever thread it came up
            said.append(error)

    thread = threading.Thread(target=run, name="asking the Hub", daemon=True)
    thread.start()
    thread.join(TOTAL + _MORE)
    if not said:
        error = _timeout(asked, "the name of the host may not be found", "connect_timeout", TOTAL + _MORE)
        return HubState(endpoint=asked.endpoint, reachable=False, seconds=TOTAL + _MORE, error=error)
    if isinstance(said[0], BaseException):
        raise said[0]
    return said[0]


class _Clock:
    """The time since the question, and what is left of it."""

    def __init__(self, settings: Settings) -> None:
        self._began = time.monotonic()
        self._settings = settings

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def timeouts(self) -> tuple[float, float]:
        left = self.left()
        return min(self._settings.connect_timeout, left), min(self._settings.stall_timeout, left)

    def left(self) -> float:
        left = TOTAL - self.seconds
        if left <= 0:
            raise Setback("the answer is not complete", limit="stall_timeout")
        return left


def _judge(answer: Answer, asked: Asked, state: HubState, clock: _Clock) -> HubState:
    if answer.headers.get("content-type", "").lower().startswith("text/html"):
        raise nonsense(asked, f"a web page came with status {answer.status}, as from a sign-in page", answer.status)
    if answer.status == 404:  # a mirror that has no accounts, or anything else that speaks HTTP
        return state
    if answer.status == 401 and asked.token is not None:
        try:
            refuse(answer, asked)
        except AccessError as error:
            return replace(state, is_hub=True, token_valid=False, token_error=error)
    if answer.status not in (200, 401):
        refuse(answer, asked)
    said = _said(answer, clock)
    if said is None:
        raise nonsense(asked, f"what came with status {answer.status} is no JSON object", answer.status)
    state = replace(state, is_hub=True)
    if answer.status == 401:
        return state
    return replace(state, token_valid=True if asked.token else None, user=_name(said))


def _failed(setback: Setback, asked: Asked, state: HubState, clock: _Clock) -> HubState:
    if setback.status == _TOO_MANY:
        return replace(state, is_hub=True, rate_limited=True, retry_after=setback.retry_after)
    error: HubError
    if setback.limit is not None:
        error = _timeout(asked, setback.reason, setback.limit, clock.seconds)
    else:
        error = HubError(
            f"{asked} cannot be used: {setback.reason}. {setback.advice or _NETWORK}",
            source=asked.source,
            status=setback.status,
        )
    return replace(state, reachable=state.reachable or False, error=error)


def _timeout(asked: Asked, reason: str, limit: str, seconds: float) -> HubTimeoutError:
    return HubTimeoutError(
        f"{asked} has not answered after {seconds:.1f} s ({reason}). {_NETWORK}",
        source=asked.source,
        limit=limit,
        seconds=seconds,
    )


def _limits(headers: Mapping[str, str]) -> dict[str, Any]:
    """What the Hub tells of its limit in any answer: `RateLimit: "api";r=499;t=120`."""
    found = _LEFT.search(headers.get("ratelimit", ""))
    return {"left": int(found[1]), "reset": float(found[2])} if found else {}


def _said(answer: Answer, clock: _Clock) -> dict[str, Any] | None:
    text = bytearray()
    for chunk in _in_time(answer.chunks, clock):
        text += chunk
        if len(text) > _MOST:
            return None
    try:
        said = json.loads(bytes(text))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _in_time(chunks: Iterator[bytes], clock: _Clock) -> Iterator[bytes]:
    for chunk in chunks:
        clock.left()
        yield chunk


def _name(said: Mapping[str, Any]) -> str | None:
    name = said.get("name")
    if not isinstance(name, str):
        return None
    return "".join(character for character in name if character.isprintable())[:80] or None
