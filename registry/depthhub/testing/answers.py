"""What the Hub, and the CDN that it sends downloads to, answer to a request. No sockets here.

The protocol as the Hub speaks it to huggingface_hub: which status, which headers, which `X-Error-Code`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, quote, unquote

from depthhub.testing.repositories import Blob, Commit, Repository, RepoType

Host = Literal["hub", "cdn"]
Repositories = Mapping[tuple[RepoType, str], Repository]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the server heard it.

    `target` is the raw path and query; `token` is without "Bearer"; `anew`: no cache on the way may answer.
    """

    method: str
    target: str
    host: Host
    range: str | None = None
    token: str | None = None
    anew: bool = False

    @property
    def raw_path(self) -> str:
        """Still quoted: a slash within a revision such as `refs/pr/1` is `%2F`."""
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of a file that an answer carries."""

    blob: Blob
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status, headers (Content-Length comes from the body) and body, which may be a part of a file."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Slice = b""

    @property
    def length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.stop - self.body.start

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of the body from `start` up to `stop`, in chunks."""
        stop = self.length if stop is None else min(stop, self.length)
        start = min(start, stop)
        if isinstance(self.body, bytes):
            return iter([self.body[start:stop]])
        return self.body.blob.read(self.body.start + start, self.body.start + stop)


def hub_answer(request: Request, repositories: Repositories, tokens: Set[str], cdn: str) -> Answer:
    """What the Hub answers. `cdn` is the origin that it sends downloads of LFS files to."""
    if request.raw_path == _LOOP:
        return redirect_loop()
    try:
        return _granted(request, repositories, tokens, cdn)
    except _Refused as refused:
        return refusal(refused.status, refused.code, refused.message, headers=refused.headers)


def cdn_answer(request: Request, repositories: Repositories) -> Answer:
    """What the CDN answers: LFS files by their sha256, to whoever has the address."""
    if request.token is not None:
        # Its addresses are signed, and as S3 it takes no second way of authorization.
        return Answer(status=400, body=b"Only one auth mechanism allowed")
    if request.raw_path == _LOOP:
        return redirect_loop()
    if asked := _STORED.fullmatch(request.raw_path):
        repository = repositories.get((_REPO_TYPES[asked["kind"]], unquote(asked["repo"])))
        for commit in repository.commits.values() if repository else ():
            for blob in commit.files.values():
                if blob.lfs and blob.sha256 == asked["sha256"]:
                    return content(blob, request.range)
    return Answer(status=404, body=b"NoSuchKey")


def content(blob: Blob, asked: str | None, *, headers: Mapping[str, str] | None = None) -> Answer:
    """A file, or the one range of it that `asked` (a Range header) names."""
    headers = {
        "ETag": f'"{blob.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        **(headers or {}),
    }
    part = _RANGE.fullmatch(asked) if asked else None
    if part is None:
        return Answer(status=200, headers=headers, body=Slice(blob, 0, blob.size))
    if part["tail"]:
        start, stop = max(0, blob.size - int(part["tail"])), blob.size
    else:
        start, stop = int(part["first"]), min(blob.size, int(part["last"] or blob.size) + 1)
    if start >= stop:
        return Answer(status=416, headers={"Content-Range": f"bytes */{blob.size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    return Answer(status=206, headers=headers, body=Slice(blob, start, stop))


def refusal(status: int, code: str | None, message: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """An error as the Hub tells it: `X-Error-Code` and `X-Error-Message` for the client, the body for people."""
    told = {"Content-Type": "application/json", "X-Error-Message": message, **(headers or {})}
    if code is not None:
        told["X-Error-Code"] = code
    return Answer(status=status, headers=told, body=json.dumps({"error": message}).encode())


def redirect_loop() -> Answer:
    """A redirect to a path that redirects to itself."""
    return Answer(status=302, headers={"Location": _LOOP})


_LOOP = "/redirect-loop"
_WHOSE_TOKEN = "/api/whoami-v2"  # noqa: S105 - a path
_REPO_TYPES: dict[str | None, RepoType] = {None: "model", "models": "model", "spaces": "space"}
_REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"
_RESOLVE = re.compile(rf"/(?:(?P<kind>spaces)/)?{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_CACHED = re.compile(rf"/api/resolve-cache/(?P<kind>models|spaces)/{_REPO}/(?P<revision>[0-9a-f]{{40}})/(?P<file>.+)")
_INFO = re.compile(rf"/api/(?P<kind>models|spaces)/{_REPO}(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(rf"/api/(?P<kind>models|spaces)/{_REPO}/tree/(?P<revision>[^/]+)")
_STORED = re.compile(rf"/(?P<kind>models|spaces)/{_REPO}/(?P<sha256>[0-9a-f]{{64}})/[^/]+")
_RANGE = re.compile(r"bytes=(?:(?P<first>\d+)-(?P<last>\d*)|-(?P<tail>\d+))")
_BORN = "2024-01-01T00:00:00.000Z"


class _Refused(Exception):  # noqa: N818 - an answer on its way out, not an error of ours
    def __init__(self, status: int, code: str | None, message: str, **headers: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def _granted(request: Request, repositories: Repositories, tokens: Set[str], cdn: str) -> Answer:
    """What the Hub answers when all is well; else _Refused."""
    if request.token is not None and request.token not in tokens:
        # An unknown token is refused before anything is looked at, public or not.
        raise _Refused(401, None, "Invalid credentials in Authorization header")
    if request.raw_path == _WHOSE_TOKEN:
        return _whose_token(request.token)
    if asked := _RESOLVE.fullmatch(request.raw_path):
        repository, commit = _look_up(asked, repositories, request.token)
        return _redirect(repository, commit, unquote(asked["file"]), request.token, cdn)
    if asked := _CACHED.fullmatch(request.raw_path):
        repository, commit = _look_up(asked, repositories, request.token)
        blob = _readable(repository, commit, unquote(asked["file"]), request.token)
        return content(blob, request.range, headers={"X-Repo-Commit": commit.id})
    if asked := _INFO.fullmatch(request.raw_path):
        repository, commit = _look_up(asked, repositories, request.token)
        return _card(repository, commit, blobs=parse_qs(request.query).get("blobs") in (["true"], ["True"]))
    if asked := _TREE.fullmatch(request.raw_path):
        _, commit = _look_up(asked, repositories, request.token)
        return _json([_in_tree(name, blob) for name, blob in sorted(commit.files.items())])
    raise _Refused(404, None, "Not found")


def _whose_token(token: str | None) -> Answer:
    """The account of a token; every known one belongs to the same."""
    if token is None:
        raise _Refused(401, None, "Invalid username or password.")
    access = {"displayName": "local", "role": "read", "createdAt": _BORN}
    return _json(
        {
            "type": "user",
            "id": "0123456789abcdef01234567",
            "name": "local-user",
            "fullname": "Local User",
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": access},
        }
    )


def _look_up(asked: re.Match[str], repositories: Repositories, token: str | None) -> tuple[Repository, Commit]:
    """The repository and commit that a path names."""
    repository = repositories.get((_REPO_TYPES[asked["kind"]], unquote(asked["repo"])))
    if repository is None or (repository.private is not None and not repository.private.admits(token)):
        # To a stranger the Hub does not tell the missing from the private.
        if token is None:
            raise _Refused(401, "RepoNotFound", "Invalid username or password.")
        raise _Refused(404, "RepoNotFound", "Repository not found")
    revision = unquote(asked["revision"] or "main")
    commit = repository.find(revision)
    if commit is None:
        raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return repository, commit


def _readable(repository: Repository, commit: Commit, filename: str, token: str | None) -> Blob:
    """A file, if it is there and no gate is before it (a gate closes the files, not the card)."""
    if repository.gated is not None and not repository.gated.admits(token):
        closed = f"Access to {repository.repo_type} {repository.id} is restricted"
        if token is None:
            raise _Refused(401, "GatedRepo", f"{closed}. You must have access and be authenticated.")
        raise _Refused(403, "GatedRepo", f"{closed} and you are not in the authorized list.")
    blob = commit.files.get(filename)
    if blob is None:
        raise _Refused(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit.id)
    return blob


def _redirect(repository: Repository, commit: Commit, filename: str, token: str | None, cdn: str) -> Answer:
    """What there is to know of a file, and the way to it: the CDN for LFS, else a path on this host."""
    blob = _readable(repository, commit, filename, token)
    kind = f"{repository.repo_type}s"
    if blob.lfs:
        # A file's name may be anything; only its last part is shown to people who read a log.
        name = filename.rpartition("/")[2]
        location = f"{cdn}/{kind}/{quote(repository.id)}/{blob.sha256}/{quote(name)}"
    else:
        location = f"/api/resolve-cache/{kind}/{quote(repository.id)}/{commit.id}/{quote(filename)}"
    headers = {
        "X-Repo-Commit": commit.id,
        "X-Linked-Etag": f'"{blob.etag}"',
        "X-Linked-Size": str(blob.size),
        "Accept-Ranges": "bytes",
        "Location": location,
    }
    return Answer(status=302 if blob.lfs else 307, headers=headers)


def _card(repository: Repository, commit: Commit, *, blobs: bool) -> Answer:
    """What the API tells of a repository; sizes and digests of its files only with `blobs`."""
    files = sorted(commit.files.items())
    card = {
        "id": repository.id,
        "author": repository.id.rpartition("/")[0],
        "sha": commit.id,
        "createdAt": _BORN,
        "lastModified": _BORN,
        "private": repository.private is not None,
        "gated": "manual" if repository.gated is not None else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": _front_matter(commit.files.get("README.md")),
        "siblings": [_sibling(name, blob) if blobs else {"rfilename": name} for name, blob in files],
    }
    return _json(card)


def _front_matter(readme: Blob | None) -> dict[str, str]:
    """The plain `name: value` lines between the two --- that a card may begin with; the Hub reads them as YAML."""
    if readme is None:
        return {}
    text = b"".join(readme.read(0, readme.size)).decode("utf-8", errors="replace")
    opening, _, rest = text.partition("---\n")
    lines, end, _ = rest.partition("\n---")
    if opening or not end:
        return {}
    pairs = (line.partition(":") for line in lines.splitlines() if line[:1].isalpha() and ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}


def _sibling(name: str, blob: Blob) -> dict[str, object]:
    sibling: dict[str, object] = {"rfilename": name, "blobId": blob.git_sha1, "size": blob.size}
    if blob.lfs:
        sibling["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
    return sibling


def _in_tree(name: str, blob: Blob) -> dict[str, object]:
    """A file as the tree tells of it, always with all that lies below."""
    entry: dict[str, object] = {"type": "file", "path": name, "oid": blob.git_sha1, "size": blob.size}
    if blob.lfs:
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
    return entry


def _json(data: object) -> Answer:
    return Answer(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(data).encode())
