"""Answers that are not the file: one error per cause, each with what to do next.

The Hub tells causes apart by `X-Error-Code`, and explains in `X-Error-Message`. Mirrors and proxies often send neither.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from email.utils import parsedate_to_datetime

from ..errors import AccessError, DepthHubError, HubError, NotFoundError
from .line import Answer
from .remote import Asked
from .setback import Setback

_OK = 200
_PART = 206
_NO_SUCH_RANGE = 416
_TOO_MANY = 429
_TRY_AGAIN = frozenset({408, 425, _TOO_MANY})
_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - what the Hub says, not a token
_DISABLED = "Access to this resource is disabled."
_NOTHING_LEFT = re.compile(r"\br=0\s*;\s*t=(\d+)")


def refuse(answer: Answer, asked: Asked, *, ranged: bool = False, names: Callable[[], Iterable[str]] = tuple) -> None:
    """Raise what an answer without the file means; return where it has it.

    ranged: a part was asked for, so that 416 is an answer. names: the files that there are, asked for only when this
    one is missing. Raises NotFoundError, AccessError or HubError, and Setback where another try may succeed.
    """
    status, headers = answer.status, answer.headers
    if status in _TRY_AGAIN or status >= 500:
        reason = f"the Hub answered {status}{_in_its_words(headers)}"
        raise Setback(reason, status=status, retry_after=_retry_after(status, headers))
    if status in (_OK, _PART) or (ranged and status == _NO_SUCH_RANGE):
        _refuse_web_page(answer, asked)
        _refuse_compressed(headers, asked)
        return
    raise _meaning(answer, asked, names)


def nonsense(asked: Asked, found: str, status: int | None = None) -> HubError:
    """What answered is not a Hub, or something between here and the Hub changed its answer."""
    return HubError(
        f"{asked}: {found}. That is not how a Hub answers: look at the mirror ({asked.endpoint}, set by "
        "HF_ENDPOINT) and at the proxies between here and there.",
        source=asked.source,
        status=status,
    )


def _meaning(answer: Answer, asked: Asked, names: Callable[[], Iterable[str]]) -> DepthHubError:
    code = answer.headers.get("x-error-code")
    said = answer.headers.get("x-error-message") or ""
    match code:
        case "GatedRepo":
            return _gated(asked)
        case "RepoNotFound":
            return _no_repository(asked)
        case "RevisionNotFound":
            return NotFoundError(
                f"{asked.repository} has no branch, tag or commit {asked.revision}. See {asked.page}/commits/main.",
                source=asked.source,
            )
        case "EntryNotFound":
            return _no_file(asked, names)
    if said == _DISABLED:
        return AccessError(f"{asked.repository} has been disabled; see {asked.page}.", source=asked.source)
    if _is_web_page(answer.headers):
        return nonsense(asked, f"a web page came with status {answer.status}", answer.status)
    if answer.status == 401 and asked.token is not None:
        return _bad_token(asked, said)
    match answer.status:
        case 401:
            return _no_repository(asked)
        case 403:
            return AccessError(
                f"{asked.endpoint} forbids {asked}{_in_its_words(answer.headers)}. "
                f"{_which_token(asked)}; see {asked.page} for who may read it.",
                source=asked.source,
            )
        case 404:
            return NotFoundError(
                f"{asked} is not at {asked.endpoint}, which does not say whether the repository, the revision or the "
                "file is missing. See whether the name is right, and whether HF_ENDPOINT names a mirror that lacks it.",
                source=asked.source,
            )
    return nonsense(asked, f"status {answer.status} came{_in_its_words(answer.headers)}", answer.status)


def _gated(asked: Asked) -> AccessError:
    if asked.token is None:
        then = "then give a token of your account: HF_TOKEN, token=..., or `hf auth login`"
    else:
        then = f"the token that was sent (from {asked.token}) belongs to an account without access, or may not read it"
    return AccessError(
        f"{asked.repository} is gated: its authors grant access to accounts. Ask for it at {asked.page}; {then}.",
        source=asked.source,
        gated=True,
    )


def _no_repository(asked: Asked) -> NotFoundError:
    if asked.token is None:
        then = "If it is private, give a token that may read it: HF_TOKEN, token=..., or `hf auth login`"
    else:
        then = f"If it is private, the token that was sent (from {asked.token}) may not read it"
    kind = "Space" if asked.repo_type == "space" else "model repository"
    return NotFoundError(
        f"There is no {kind} {asked.repo_id} at {asked.endpoint}, or it is private. See whether the name is right. "
        f"{then}.",
        source=asked.source,
    )


def _no_file(asked: Asked, names: Callable[[], Iterable[str]]) -> NotFoundError:
    near = get_close_matches(asked.filename or "", list(names()), n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"See {asked.page}/tree/{asked.revision} for what it has."
    return NotFoundError(
        f"{asked.repository} has no file {asked.filename} at {asked.revision}. {hint}",
        source=asked.source,
        suggestions=near,
    )


def _bad_token(asked: Asked, said: str) -> AccessError:
    why = "" if said in ("", _BAD_TOKEN) else f" ({_printable(said)})"
    return AccessError(
        f"{asked.endpoint} does not accept the token from {asked.token}{why}, and answers nothing while it is sent, "
        f"public repositories included. Renew it at {asked.endpoint}/settings/tokens, or send none: unset it, or "
        "token=False.",
        source=asked.source,
    )


def _which_token(asked: Asked) -> str:
    return "No token was sent" if asked.token is None else f"The token from {asked.token} was sent"


def _is_web_page(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").lower().startswith("text/html")


def _refuse_web_page(answer: Answer, asked: Asked) -> None:
    if _is_web_page(answer.headers) and not (asked.filename or "").endswith((".html", ".htm")):
        raise nonsense(asked, "a web page came instead of the file, as from a sign-in page", answer.status)


def _refuse_compressed(headers: Mapping[str, str], asked: Asked) -> None:
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", ""):
        raise nonsense(asked, f"the file came as {_printable(encoding)}, though it was asked for as it is")


def _in_its_words(headers: Mapping[str, str]) -> str:
    said = _printable(headers.get("x-error-message") or "")
    return f" ({said})" if said else ""


def _printable(text: str) -> str:
    """Words of a server are shown to people on terminals: no control characters, no length."""
    return "".join(character if character.isprintable() else " " for character in text[:200]).strip()


def _retry_after(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `Retry-After`, in seconds or as a date, or the Hub's `RateLimit: "api";r=0;t=55`."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if text:
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, OverflowError):  # a date, but of no time that there is
            return None
    # The Hub counts in every answer; only in a 429, and with nothing left, it is a reason to wait.
    reset = _NOTHING_LEFT.search(headers.get("ratelimit", "")) if status == _TOO_MANY else None
    return float(reset[1]) if reset else None
