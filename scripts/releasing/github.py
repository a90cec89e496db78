"""A release on GitHub: found or drafted, its assets listed, uploaded and removed, and in the end shown to everybody."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import quote

from .assets import Asset
from .errors import ReleaseError
from .rest import WAITS, Answer, Rest, patiently, refusal

API = "https://api.github.com"
_PER_PAGE = 100
_MOST_PAGES = 100
_PIECE = 1 << 20

T = TypeVar("T")


class Uploaded(NamedTuple):
    """An asset there. is_whole: its upload came to its end. sha256: None where GitHub does not state it."""

    id: int
    name: str
    size: int
    is_whole: bool
    sha256: str | None

    def is_same(self, asset: Asset) -> bool:
        return self.is_whole and self.size == asset.size and self.sha256 == asset.sha256


class OnGitHub(NamedTuple):
    """A release there. is_draft: nobody sees it but those who may write."""

    id: int
    is_draft: bool
    upload_url: str
    page: str


class GitHub:
    """The releases of one repository. Every method raises ReleaseError, and tries again what may pass."""

    def __init__(self, repository: str, token: str, *, api: str = API, waits: Sequence[float] | None = None) -> None:
        self._rest = Rest(token)
        self._base = f"{api.rstrip('/')}/repos/{repository}"
        self._waits = WAITS if waits is None else waits

    def commit_of(self, tag: str) -> str | None:
        """The commit that a tag is at there; None where there is no such tag."""
        answer = self._ask("GET", f"{self._base}/commits/{quote(f'tags/{tag}')}", accept="application/vnd.github.sha")
        if answer.status in (404, 422):
            return None
        if answer.status != 200:
            raise refusal(answer, f"tell where the tag {tag} is")
        return str(answer.data)

    def find(self, tag: str) -> OnGitHub | None:
        """The release of a tag, also where it is a draft. Raises ReleaseError where there are several."""
        url = f"{self._base}/releases"
        found = [data for data in self._pages(url, "list the releases") if data["tag_name"] == tag]
        if len(found) > 1:
            raise ReleaseError(f"There are {len(found)} releases of {tag}. Remove the drafts, and run this step again.")
        return _release(found[0]) if found else None

    def draft(self, tag: str, *, name: str, notes: str, is_prerelease: bool) -> OnGitHub:
        """The draft of a tag, made if it is not there; or the release where it is public already."""
        told = {"tag_name": tag, "name": name, "body": notes, "draft": True, "prerelease": is_prerelease}

        def find_or_make() -> OnGitHub:
            if (there := self.find(tag)) is not None:
                return there
            answer = self._rest.ask("POST", f"{self._base}/releases", data=told)
            if answer.status != 201:
                raise refusal(answer, f"draft the release {tag}")
            return _release(answer.data)

        return self._patiently(find_or_make)

    def show(self, release: OnGitHub, *, notes: str) -> OnGitHub:
        """Let everybody see it."""
        answer = self._ask("PATCH", f"{self._base}/releases/{release.id}", data={"draft": False, "body": notes})
        if answer.status != 200:
            raise refusal(answer, "publish the release")
        return _release(answer.data)

    def assets(self, release: OnGitHub) -> Mapping[str, Uploaded]:
        """By name, half-uploaded ones too."""
        url = f"{self._base}/releases/{release.id}/assets"
        return {data["name"]: _uploaded(data) for data in self._pages(url, "list the assets")}

    def put(self, release: OnGitHub, asset: Asset) -> None:
        """Upload an asset into a draft, in which nothing whole has its name. What is half-uploaded is replaced."""

        def look_and_upload() -> None:
            there = self.assets(release).get(asset.name)
            if there is not None and there.is_same(asset):
                return  # it came to its end, and only the answer was lost
            if there is not None:
                self.remove(there)
            self._upload(release, asset)

        self._patiently(look_and_upload)

    def remove(self, uploaded: Uploaded) -> None:
        answer = self._ask("DELETE", f"{self._base}/releases/assets/{uploaded.id}")
        if answer.status not in (204, 404):
            raise refusal(answer, f"remove {uploaded.name}")

    def _upload(self, release: OnGitHub, asset: Asset) -> None:
        with asset.path.open("rb") as file:
            read = _Hashed(file)
            url = f"{release.upload_url.partition('{')[0]}?name={quote(asset.name)}"
            answer = self._rest.ask("POST", url, file=(read, asset.size))
        if answer.status != 201:
            raise refusal(answer, f"take {asset.name}")
        made = _uploaded(answer.data)
        stated = made.sha256 or read.sha256()
        if (made.name, made.size, stated, read.sha256()) != (asset.name, asset.size, asset.sha256, asset.sha256):
            self.remove(made)
            raise ReleaseError(
                f"{asset.name} was uploaded, and arrived as {made.name} with {made.size:,} bytes and sha256 {stated}: "
                f"{asset.size:,} bytes and {asset.sha256} were expected. It is removed. Did the file change meanwhile?"
            )

    def _pages(self, url: str, what: str) -> Iterator[dict[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            answer = self._ask("GET", f"{url}?per_page={_PER_PAGE}&page={page}")
            if answer.status != 200:
                raise refusal(answer, what)
            yield from answer.data
            if len(answer.data) < _PER_PAGE:
                return

    def _ask(self, method: str, url: str, **more: Any) -> Answer:
        return self._patiently(lambda: self._rest.ask(method, url, **more))

    def _patiently(self, work: Callable[[], T]) -> T:
        return patiently(work, self._waits)


class _Hashed:
    """A file piece by piece, hashed while it is sent."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(_PIECE):
            self._digest.update(piece)
            yield piece

    def sha256(self) -> str:
        return self._digest.hexdigest()


def _release(data: Mapping[str, Any]) -> OnGitHub:
    return OnGitHub(data["id"], data["draft"], data["upload_url"], data["html_url"])


def _uploaded(data: Mapping[str, Any]) -> Uploaded:
    kind, _, digest = (data.get("digest") or "").partition(":")
    is_whole = data["state"] == "uploaded"
    return Uploaded(data["id"], data["name"], data["size"], is_whole, digest if kind == "sha256" else None)
