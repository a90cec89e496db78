"""Where a checkpoint is, and what is known of it before a byte of it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from depthhub_cache.identity import ContentHash, is_sha256

from ..catalog import CatalogEntry
from ..hub_names import RepoType, file_path_problem, is_commit, is_licence, revision_problem
from .digest import Settled
from .stated import Stated, stated_by_config, unread


class Place(NamedTuple):
    """Where a checkpoint is, for people: what was asked, its entry in the catalog, repository, file and commit."""

    source: str
    entry: CatalogEntry | None
    repo_id: str | None
    repo_type: RepoType | None
    filename: str
    commit: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "name": self.entry.name if self.entry else None,
            "repo_id": self.repo_id,
            "repo_type": self.repo_type,
            "filename": self.filename,
            "commit": self.commit,
        }


class LocalCheckpoint(NamedTuple):
    """A file on this machine that belongs to the user: read, never changed, moved or deleted.

    path: as it was asked for. file: where it really is, without links, which may lead elsewhere a moment later.
    hashed_now: every byte was read for `content_hash` in this call; else it was remembered. checked: its checksums were
    found right meanwhile. settled: what was hashed.
    """

    source: str
    path: Path
    file: Path
    content_hash: ContentHash
    hashed_now: bool
    checked: bool
    settled: Settled
    size: int
    entry: CatalogEntry | None
    stated: Stated | None

    @property
    def filename(self) -> str:
        return self.path.name

    def place(self) -> Place:
        return Place(self.source, self.entry, None, None, self.filename, None)


class HubCheckpoint(NamedTuple):
    """A file on the Hub, at one commit.

    commits: to ask for, in this order; the first that has the file counts. One, but where the catalog has
        a pinned digest and only a hint of the commit.
    content_hash: what the file must be (pin of the catalog, or the Hub's own `lfs.sha256`); None where the
        Hub gives no sha256, as for small files that are not in LFS.
    stated: the answer of the repository's own config.json; config_asked: whether it was looked for at all.
    card_licence: what the repository's card states, None where it states none; card_asked: whether it was looked at.
    pinned: the catalog knows the digest, so nobody needs to be asked.
    ref: the name under which the answer is remembered; None for a pin.
    remembered_at: when the Hub was asked (ISO 8601, UTC); None where it was not.
    """

    source: str
    repo_id: str
    repo_type: RepoType
    filename: str
    commits: tuple[str, ...]
    content_hash: ContentHash | None
    git_sha1: str | None
    size: int | None
    entry: CatalogEntry | None
    stated: Stated | None
    config_asked: bool
    pinned: bool
    ref: str | None
    remembered_at: str | None
    card_licence: str | None = None
    card_asked: bool = False

    @property
    def commit(self) -> str:
        return self.commits[0]

    @property
    def known_commit(self) -> str | None:
        """The commit that has it; None where there is only a hint, or the name of a branch."""
        return self.commit if len(self.commits) == 1 and is_commit(self.commit) else None

    def place(self) -> Place:
        return Place(self.source, self.entry, self.repo_id, self.repo_type, self.filename, self.known_commit)

    def to_ref(self) -> Mapping[str, Any]:
        """The part that is worth remembering: what the Hub said."""
        answer = {
            "filename": self.filename,
            "commit": self.commit,
            "content_hash": self.content_hash,
            "git_sha1": self.git_sha1,
            "size": self.size,
            "remembered_at": self.remembered_at,
        }
        if self.card_asked:
            answer["licence"] = self.card_licence
        if self.stated is not None and self.stated.problem is not None:
            answer["config_problem"] = self.stated.problem
        return {**answer, "config": self.stated and self.stated.config} if self.config_asked else answer

    @staticmethod
    def parse_ref(answer: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that `to_ref` gave away. Raises KeyError, TypeError or ValueError for anything else."""
        content_hash, commit = answer["content_hash"], answer["commit"]
        filename, size, git_sha1 = answer["filename"], answer["size"], answer["git_sha1"]
        licence, problem_of_config = answer.get("licence"), answer.get("config_problem")
        if not isinstance(filename, str) or not isinstance(commit, str):
            raise TypeError("its file or its commit is no text")
        if content_hash is not None and not is_sha256(content_hash):
            raise ValueError("its content hash is no sha256")
        if problem := file_path_problem(filename) or revision_problem(commit):
            raise ValueError(problem)
        if not (size is None or (type(size) is int and size >= 0)) or not isinstance(git_sha1, str | None):
            raise TypeError("its size is no number, or its git_sha1 no text")
        if licence is not None and not (isinstance(licence, str) and is_licence(licence)):
            raise ValueError("its licence is none")
        return {
            "filename": filename,
            "commits": (commit,),
            "content_hash": content_hash,
            "git_sha1": git_sha1,
            "size": size,
            "stated": unread(problem_of_config) if problem_of_config else stated_by_config(answer.get("config")),
            "config_asked": "config" in answer,
            "card_licence": licence,
            "card_asked": "licence" in answer,
            "remembered_at": str(answer["remembered_at"]),
        }


Located = LocalCheckpoint | HubCheckpoint
