"""What a LocalHub holds: repositories, their commits, and the content of their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

RepoType = Literal["model", "space"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """The content of one file, in memory or on disk (a file on disk is streamed, and must stay as it is).

    git_sha1: git's name of the content, or of the LFS pointer that stands for it (40 hex).
    sha256: of the content (64 hex).
    """

    data: bytes | Path
    lfs: bool
    size: int
    sha256: str
    git_sha1: str

    @classmethod
    def of(cls, data: bytes | Path, *, lfs: bool) -> Blob:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        sha256 = hashlib.sha256()
        git_sha1 = _git_blob_hash(size)
        for chunk in _read(data, 0, size):
            sha256.update(chunk)
            if not lfs:
                git_sha1.update(chunk)
        if lfs:
            pointer = _pointer(sha256.hexdigest(), size)
            git_sha1 = _git_blob_hash(len(pointer))
            git_sha1.update(pointer)
        return cls(data, lfs, size, sha256.hexdigest(), git_sha1.hexdigest())

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_sha1

    @property
    def pointer_size(self) -> int:
        """Bytes of the LFS pointer file."""
        return len(_pointer(self.sha256, self.size))

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`, in chunks."""
        return _read(self.data, start, stop)


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of a repository. `id` is 40 hex, the same on every machine for the same history."""

    id: str
    files: Mapping[str, Blob]


@dataclass(slots=True)
class Repository:
    """A repository: its commits, the branches and tags that point at them, and who may in (None: anyone)."""

    id: str
    repo_type: RepoType
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: Access | None = None
    private: Access | None = None

    def __post_init__(self) -> None:
        self.refs["main"] = self._record({}, parent="")

    def find(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag or a full commit id names."""
        return self.commits.get(self.refs.get(revision, revision))

    def change(self, filename: str, blob: Blob | None, *, branch: str) -> str:
        """Add, replace or (None) remove a file on a branch; a new one starts at `main`. Gives the commit's id."""
        parent = self.refs.get(branch, self.refs["main"])
        before = self.commits[parent].files
        files = {name: kept for name, kept in before.items() if name != filename}
        if blob is not None:
            files[filename] = blob
        # As on the Hub, a change that changes nothing is no commit.
        self.refs[branch] = parent if files == before else self._record(files, parent=parent)
        return self.refs[branch]

    def _record(self, files: Mapping[str, Blob], *, parent: str) -> str:
        tree = sorted((name, blob.lfs, blob.git_sha1) for name, blob in files.items())
        text = json.dumps([self.repo_type, self.id, parent, tree])
        commit = Commit(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), files)
        self.commits[commit.id] = commit
        return commit.id


@dataclass(frozen=True, slots=True)
class Access:
    """Who may in: these tokens, or (None) every token that the hub knows."""

    tokens: frozenset[str] | None

    def admits(self, token: str | None) -> bool:
        """For a token that the hub knows, or None for a request without one."""
        return token is not None and (self.tokens is None or token in self.tokens)


def _read(data: bytes | Path, start: int, stop: int) -> Iterator[bytes]:
    if isinstance(data, bytes):
        for at in range(start, stop, _CHUNK):
            yield data[at : min(at + _CHUNK, stop)]
        return
    with data.open("rb") as file:
        file.seek(start)
        while start < stop and (chunk := file.read(min(_CHUNK, stop - start))):
            start += len(chunk)
            yield chunk


def _pointer(sha256: str, size: int) -> bytes:
    """The file that git keeps in place of the content (git-lfs specification, version 1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def _git_blob_hash(size: int) -> hashlib._Hash:
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
