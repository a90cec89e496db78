"""A repository on a LocalHub, short limits, and a place for the bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from depthhub import hub
from depthhub.progress import Progress
from depthhub.settings import Settings
from depthhub.testing import LocalHub
from depthhub.transfer import attempts
from depthhub_cache.store import Store

REPO = "owner/repo"
WEIGHTS = bytes(range(251)) * 4000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


@dataclass
class Downloads:
    """Downloads from `server` into a staged file, and what was heard on the way.

    content: what the caller would read then. left: bytes in the file when the download ended, in whatever way.
    """

    server: LocalHub
    settings: Settings
    remote: hub.RemoteFile
    folder: Path
    weights: bytes = WEIGHTS
    heard: list[Progress] = field(default_factory=list)
    content: bytes = b""
    left: int = -1

    def __call__(self, remote=None, *, progress=None, seed=(), **settings) -> str:
        with Store(self.folder / "store").stage() as staging:
            with staging.file("weights.part") as staged:
                try:
                    digest = hub.download(
                        remote or self.remote,
                        staged,
                        settings=self.settings._replace(**settings),
                        progress=progress or self.heard.append,
                        seed=seed,
                    )
                finally:
                    self.left = staged.size
            self.content = staged.path.read_bytes()
        return digest

    @property
    def asked(self) -> list[tuple[str, int | None, str | None]]:
        """Host, status and range of each request so far."""
        return [(request.host, request.status, request.range) for request in self.server.requests]

    @property
    def ranges(self) -> list[str | None]:
        """The ranges that were asked of the host that has the bytes."""
        return [request.range for request in self.server.requests if request.host == "cdn"]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    """The first pause is a hundredth of a second here: pauses grow as they do elsewhere."""
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.01)


@pytest.fixture
def settings(local_hub, tmp_path) -> Settings:
    return Settings(
        cache_dir=tmp_path / "cache",
        endpoint=local_hub.endpoint,
        connect_timeout=2.0,
        stall_timeout=2.0,
        total_timeout=20.0,
        retry_after_limit=1.0,
    )


@pytest.fixture
def remote(local_hub) -> hub.RemoteFile:
    """A pinned file: commit, size and sha256 are known."""
    commit = local_hub.add_file(REPO, "dir/weights.pth", WEIGHTS)
    return hub.RemoteFile(
        repo_id=REPO,
        repo_type="model",
        commit=commit,
        filename="dir/weights.pth",
        size=len(WEIGHTS),
        sha256=SHA256,
    )


@pytest.fixture
def download(local_hub, settings, remote, tmp_path) -> Downloads:
    return Downloads(local_hub, settings, remote, tmp_path)
