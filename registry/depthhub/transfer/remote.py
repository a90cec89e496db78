"""What is asked of the Hub, what it holds, and what it promises of a file: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..hub_names import RepoType

_SHOWN_COMMIT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What is known of bytes before they come; None: nothing is.

    sha256: of the content. git_sha1: git's name of the content, which files outside LFS have instead.
    """

    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def has_digest(self) -> bool:
        """Whether the bytes will prove right or wrong, so that parts of different origin may be joined."""
        return self.sha256 is not None or (self.git_sha1 is not None and self.size is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file on the Hub. `commit` is 40 hex, or a branch or tag where `sha256` says what the bytes must be.

    size: bytes. sha256: of LFS files. git_sha1: git's blob name, of files that are not in LFS.
    """

    repo_id: str
    repo_type: RepoType
    commit: str
    filename: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def promise(self) -> Promise:
        return Promise(size=self.size, sha256=self.sha256, git_sha1=self.git_sha1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a repository at one commit, by name.

    unusable: names that no file has here: they could leave a folder, or mean something else on some system.
    licence: what its card states, in lower case. gated: the files are for accounts that its authors have let in.
    """

    repo_id: str
    repo_type: RepoType
    commit: str
    files: tuple[RemoteFile, ...]
    unusable: tuple[str, ...] = ()
    licence: str | None = None
    gated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCache:
    """The cache of the Hub's own client: where it is, and the bytes that certain repositories take there."""

    path: Path
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFile:
    """A file in the Hub's own cache on this machine. Nobody has verified it.

    digest: what the client calls its content, as the Hub told it: a sha256 (LFS) or git's sha1; None where the cache
        does without links, and so without such names.
    """

    path: Path
    commit: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question to the Hub, as messages name it.

    filename: None asks for the list of files. token: where the token that is sent comes from, in words; None: none is.
    """

    endpoint: str
    repo_id: str
    repo_type: RepoType
    revision: str
    filename: str | None
    token: str | None

    def __str__(self) -> str:
        what = self.repository if self.filename is None else f"{self.repository}/{self.filename}"
        is_commit = len(self.revision) == 40
        return f"{what} at {self.revision[:_SHOWN_COMMIT] if is_commit else self.revision}"

    @property
    def repository(self) -> str:
        return f"{self._kind}{self.repo_id}"

    @property
    def page(self) -> str:
        """The repository's web page."""
        return f"{self.endpoint}/{self.repository}"

    @property
    def source(self) -> str:
        """As a source: what a user would write to mean it."""
        path = "" if self.filename is None else f"/{self.filename}"
        return f"hf://{self.repository}@{quote(self.revision, safe='')}{path}"

    @property
    def _kind(self) -> str:
        return "spaces/" if self.repo_type == "space" else ""
