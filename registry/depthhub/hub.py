"""The only file that talks to the Hub's client, huggingface_hub 0.34 to 2.x.

The client gives the address of a file, the token, the session with the user's proxies and certificates, and its own
cache. It does not give the bytes: its download checks no digest, waits without a bound, and starts again after a reset
(see `transfer`). Its `build_hf_headers` and `model_info` are left out too: since 2.x they may ask the Hub another
question first, and a pinned file should cost one request.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import huggingface_hub
from huggingface_hub import (
    _CACHED_NO_EXIST,
    constants,
    errors,
    get_session,
    get_token,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name

from depthhub_cache.disk import tree_size
from depthhub_cache.identity import ContentHash, is_sha256

from .errors import AccessError, DepthHubError, OfflineError
from .hub_names import RepoType, file_path_problem, is_commit, is_licence
from .progress import Progress, Report, silent
from .settings import Settings
from .transfer.attempts import Attempts
from .transfer.examination import PATH, HubState, look, the_hub, within_limits
from .transfer.fetching import Into, fetch
from .transfer.line import Answer, Line
from .transfer.refusals import nonsense, refuse
from .transfer.remote import Asked, CachedFile, ClientCache, Listing, Promise, RemoteFile

__all__ = [
    "CachedFile",
    "ClientCache",
    "HubState",
    "Listing",
    "RemoteFile",
    "cached_file",
    "client_cache",
    "download",
    "examine",
    "list_files",
    "read_small_file",
]

log = logging.getLogger("depthhub")

_MOST_OF_A_LISTING = 64 << 20
_NEAR_NAMES_TIMEOUT = 5.0
_ANEW = {"cache-control": "no-cache"}
"""What a branch names is asked of the Hub itself, and not of a cache on the way."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_USER_AGENT = (
    f"depthhub/{version('depthhub')}; hf_hub/{huggingface_hub.__version__}; python/{platform.python_version()}"
)
_TOKEN_ERRORS: tuple[type[Exception], ...] = (HfHubHTTPError, getattr(errors, "OIDCError", HfHubHTTPError))
_LIBRARY = HfHubHTTPError.__mro__[1].__module__.partition(".")[0]
"""What this version of the client stands on, as its own error tells: requests, httpx or httpx2."""


def list_files(repo_id: str, *, repo_type: RepoType, revision: str | None, settings: Settings) -> Listing:
    """The files of a repository with sizes and digests, at the commit that `revision` names now (None: main).

    One request. Raises NotFoundError, AccessError, OfflineError, HubError or HubTimeoutError.
    """
    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    url = f"{settings.endpoint}/api/{repo_type}s/{repo_id}{at}?blobs=true"
    question = _ask(url, settings, repo_id, repo_type, revision or constants.DEFAULT_REVISION, None)
    question = replace(question, headers={**question.headers, **_ANEW})
    text = _Memory()
    question.fetch(Promise(), text, most=_MOST_OF_A_LISTING)
    try:
        listing = _parse_listing(json.loads(text.content), repo_id, repo_type)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found = f"the answer is no list of files ({type(error).__name__}: {str(error)[:100]})"
        raise nonsense(question.asked, found) from None
    if revision is not None and is_commit(revision) and listing.commit != revision:  # a mirror that ignores revisions
        raise nonsense(question.asked, f"the answer is about another commit, {listing.commit}")
    return listing


def read_small_file(remote: RemoteFile, *, settings: Settings, limit: int = 1 << 20) -> bytes:
    """The verified content of a file of at most `limit` bytes, HubError if it is larger. Else raises as `download`."""
    content = _Memory()
    _ask_for(remote, settings).fetch(remote.promise, content, most=limit)
    return bytes(content.content)


def cached_file(repo_id: str, filename: str, *, repo_type: RepoType, revision: str) -> CachedFile | None:
    """The file in the Hub's own cache on this machine, unverified, without any request; None if it is not there."""
    try:
        found = try_to_load_from_cache(repo_id, filename, revision=revision, repo_type=repo_type)
    except (OSError, ValueError) as error:  # somebody else's cache, or a broken one: it only would save a download
        log.debug("the Hub's own cache cannot be read: %s", error)
        return None
    if not isinstance(found, str):
        return None
    commit = Path(found).parents[len(PurePosixPath(filename).parts) - 1].name
    if is_commit(revision) and commit != revision:  # a branch may be called so
        return None
    blob = Path(found).resolve()
    digest = blob.name if blob.parent.name == "blobs" and _DIGEST.fullmatch(blob.name) else None
    return CachedFile(path=Path(found), commit=commit, digest=digest)


def is_known_to_be_missing(repo_id: str, filename: str, *, repo_type: RepoType, revision: str) -> bool:
    """Whether the Hub's own cache has noted that there is no such file. Makes no request."""
    try:
        found = try_to_load_from_cache(repo_id, filename, revision=revision, repo_type=repo_type)
    except (OSError, ValueError):
        return False
    return found is _CACHED_NO_EXIST


def client_cache(repositories: Iterable[tuple[str, str]]) -> ClientCache:
    """The cache of the Hub's own client, and what these repositories (type, name) take in it. Makes no request."""
    root = Path(constants.HF_HUB_CACHE)
    folders = (root / repo_folder_name(repo_id=repo_id, repo_type=repo_type) for repo_type, repo_id in repositories)
    return ClientCache(path=root, bytes=sum(tree_size(folder) for folder in folders))


def download(
    remote: RemoteFile,
    into: Into,
    *,
    settings: Settings,
    progress: Report = silent,
    seed: Iterable[Path] = (),
) -> ContentHash:
    """Every byte of a file, written into `into` and verified: the sha256 of what is there.

    Verified means: against `remote.sha256`; for files outside LFS, which have none, against `remote.git_sha1`. Where
    the Hub tells neither, only the size is checked, and the digest that comes back is of what came, whatever it is.

    One GET per try, and the redirect that it meets. After a drop, a reset or a stall, the next asks for the rest.
    seed: partial files of the same content that nobody writes any more; their bytes are copied and the rest asked for.
    progress: hears `downloading` some ten times a second. An error that it raises ends the download at once.

    Raises NotFoundError (with near names), AccessError, OfflineError, HubError, HubTimeoutError (a limit of the
    settings), and IntegrityError, with `into` empty again.
    """
    return _ask_for(remote, settings).fetch(remote.promise, into, report=progress, seeds=seed)


def examine(settings: Settings) -> HubState:
    """Whether the Hub answers, whose the token is, and how near the limit of requests: one request, some 10 s at most.

    Raises nothing that a setting, the network or the other side could cause: what is wrong is in the answer.
    """
    asked = the_hub(_shown(settings.endpoint))
    why = _why_offline(settings)
    if why is not None:
        return HubState(endpoint=asked.endpoint, offline=why)

    def ask() -> HubState:
        unusable, token, origin = None, None, None
        try:
            token, origin = _token(asked, settings)
        except AccessError as error:  # the Hub may still be there for those who send none
            unusable = error
        line = Line(get_session(), _LIBRARY)
        state = look(line, f"{settings.endpoint}{PATH}", _headers(token), replace(asked, token=origin), settings)
        return state if unusable is None else replace(state, token_valid=False, token_error=unusable)

    return within_limits(ask, asked)


@dataclass(frozen=True, slots=True)
class _Question:
    """Something to GET, and the words for it. `names` lists the files beside one that turns out to be missing."""

    asked: Asked
    url: str
    headers: Mapping[str, str]
    settings: Settings
    names: Callable[[], Iterable[str]] = tuple

    def fetch(
        self,
        promise: Promise,
        into: Into,
        *,
        report: Report = silent,
        seeds: Iterable[Path] = (),
        most: int = sys.maxsize,
    ) -> ContentHash:
        def tell(sentence: str) -> None:
            report(Progress(self.asked.source, "downloading", into.size, promise.size, sentence))

        attempts = Attempts(self.asked, self.settings, tell)

        @contextmanager
        def ask(start: int) -> Iterator[Answer]:
            line = Line(get_session(), _LIBRARY)  # anew each time: the client may have closed its session
            headers = {**self.headers, "range": f"bytes={start}-"} if start else self.headers
            with line.get(self.url, headers, attempts.timeouts) as answer:
                refuse(answer, self.asked, ranged=start > 0, names=self.names)
                yield answer

        return fetch(self.asked, promise, into, ask=ask, attempts=attempts, report=report, seeds=seeds, most=most)


def _ask_for(remote: RemoteFile, settings: Settings) -> _Question:
    url = hf_hub_url(
        remote.repo_id,
        remote.filename,
        repo_type=remote.repo_type,
        revision=remote.commit,
        endpoint=settings.endpoint,
    )
    question = _ask(url, settings, remote.repo_id, remote.repo_type, remote.commit, remote.filename)
    return replace(question, names=lambda: _names_beside(remote, settings))


def _ask(
    url: str, settings: Settings, repo_id: str, repo_type: RepoType, revision: str, filename: str | None
) -> _Question:
    asked = Asked(
        endpoint=_shown(settings.endpoint),
        repo_id=repo_id,
        repo_type=repo_type,
        revision=revision,
        filename=filename,
        token=None,
    )
    _refuse_offline(asked, settings)
    token, origin = _token(asked, settings)
    return _Question(replace(asked, token=origin), url, _headers(token), settings)


def _headers(token: str | None) -> dict[str, str]:
    headers = {"user-agent": _USER_AGENT, "accept-encoding": "identity"}  # compressed, neither size nor range would fit
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return headers


def _shown(endpoint: str) -> str:
    """A password in it is not for messages."""
    return re.sub("//[^/]*@", "//", endpoint)


def _refuse_offline(asked: Asked, settings: Settings) -> None:
    why = _why_offline(settings)
    if why is not None:
        raise OfflineError(
            f"{asked} is not on this machine, and {why}. Fetch it once with a network, or copy the cache of a machine "
            "that has it.",
            source=asked.source,
        )


def _why_offline(settings: Settings) -> str | None:
    if settings.offline:
        return "the network may not be used (offline=True or HF_HUB_OFFLINE)"
    if not settings.hub_fallback:
        return "the Hub may not be asked (DEPTHHUB_HUB_FALLBACK=0)"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE was set when huggingface_hub was imported, and its session stays offline since"
    return None


def _token(asked: Asked, settings: Settings) -> tuple[str | None, str | None]:
    """The token to send, and where it comes from, in words that may be shown."""
    if isinstance(settings.token, str):
        token, origin = settings.token, "token=..."
    elif settings.token is False or (settings.token is None and constants.HF_HUB_DISABLE_IMPLICIT_TOKEN):
        return None, None
    else:
        token = _token_of_the_client(asked)
        origin = "HF_TOKEN" if os.environ.get("HF_TOKEN", "").strip() else "the stored login"
    token = token.strip()
    if not token:
        if settings.token is True:
            raise AccessError(
                f"{asked}: token=True asks for the stored token, and there is none. Log in with `hf auth login`, or "
                "set HF_TOKEN.",
                source=asked.source,
            )
        return None, None
    if not (token.isascii() and token.isprintable()) or " " in token:
        # Refused here, since the HTTP library would show the whole header in its error.
        raise AccessError(
            f"{asked}: the token from {origin} holds spaces, line breaks or other characters that no token has. "
            "Copy it again.",
            source=asked.source,
        )
    return token, origin


def _token_of_the_client(asked: Asked) -> str:
    try:
        return get_token() or ""
    except _TOKEN_ERRORS as error:  # since 2.0 it may exchange a CI's identity for a token, over the network
        raise AccessError(
            f"{asked}: the Hub's client cannot get a token ({type(error).__name__}). Unset HF_OIDC_RESOURCE, give a "
            "token with HF_TOKEN or token=..., or go without: token=False.",
            source=asked.source,
        ) from error


def _names_beside(remote: RemoteFile, settings: Settings) -> Iterable[str]:
    """For a better error only, so it may fail, and may not take long."""
    hasty = settings._replace(total_timeout=min(settings.total_timeout, _NEAR_NAMES_TIMEOUT))
    try:
        listing = list_files(remote.repo_id, repo_type=remote.repo_type, revision=remote.commit, settings=hasty)
    except DepthHubError:
        return ()
    return [file.filename for file in listing.files]


def _parse_listing(data: Any, repo_id: str, repo_type: RepoType) -> Listing:
    commit = data["sha"]
    if not _COMMIT.fullmatch(commit):
        raise ValueError("sha is no commit")
    files = [_parse_file(item, repo_id, repo_type, commit) for item in data["siblings"]]
    problems = {file.filename: file_path_problem(file.filename) for file in files}
    return Listing(
        repo_id=repo_id,
        repo_type=repo_type,
        commit=commit,
        files=tuple(file for file in files if problems[file.filename] is None),
        unusable=tuple(name for name, problem in problems.items() if problem is not None),
        licence=_licence_of(data),
        gated=data.get("gated") not in (None, False),  # else "auto" or "manual": how access is granted
    )


def _licence_of(data: Any) -> str | None:
    """What the card of a repository states, in lower case; None where it states none, or nothing that could be one."""
    card = data.get("cardData")
    stated = card.get("license") if isinstance(card, dict) else None
    return stated.lower() if isinstance(stated, str) and is_licence(stated.lower()) else None


def _parse_file(item: Any, repo_id: str, repo_type: RepoType, commit: str) -> RemoteFile:
    lfs, size = item.get("lfs"), item.get("size")
    sha256 = None if lfs is None else lfs["sha256"]
    git_sha1 = item.get("blobId") if lfs is None else None  # of an LFS file git knows the pointer only
    if size is not None and not (isinstance(size, int) and size >= 0):
        raise ValueError("a size is no number")
    if sha256 is not None and not is_sha256(sha256):
        raise ValueError("an lfs.sha256 is none")
    if git_sha1 is not None and not _COMMIT.fullmatch(git_sha1):
        raise ValueError("a blobId is no sha1")
    return RemoteFile(
        repo_id=repo_id,
        repo_type=repo_type,
        commit=commit,
        filename=item["rfilename"],
        size=size,
        sha256=sha256,
        git_sha1=git_sha1,
    )


class _Memory:
    """Where an answer goes that nobody needs on disk."""

    def __init__(self) -> None:
        self.content = bytearray()

    @property
    def size(self) -> int:
        return len(self.content)

    def write(self, data: bytes | memoryview, /) -> int:
        self.content += data
        return len(data)

    def sha256(self) -> ContentHash:
        return ContentHash(hashlib.sha256(self.content).hexdigest())

    def restart(self) -> None:
        self.content.clear()
