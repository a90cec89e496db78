"""A Hub, and a remote store of each kind that is filled from it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthhub.testing import LocalHub
from depthhub_cache.store import Entry

from ...cache.remote.s3_server import S3Server
from ...cache.remote.web import Web
from ...catalogs import checkpoint, write_catalog
from .shelves import FILE, NAME, REPO, pushed_by

_numbers = itertools.count()


@pytest.fixture
def hub(local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """Has the checkpoint that a catalog pins as NAME: to know its key nobody is asked."""
    commit = local_hub.add_file(REPO, FILE, tiny)
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    size = tiny.stat().st_size
    entry = checkpoint(NAME, repo_id=REPO, filename=FILE, revision=commit, sha256=digest, size=size)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    return local_hub


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A mounted folder that is the remote store, empty."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def filled(hub: LocalHub, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """The entry that a trusted job has put there. The environment of the test has the store, and may not write."""
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    made = pushed_by(tmp_path / "job", monkeypatch)
    hub.clear_log()
    return made


@pytest.fixture
def web(filled: Entry, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The same behind a plain web server."""
    with Web().serving() as serving:
        serving.files = {f"/models/{path.name}": path.read_bytes() for path in shelf.iterdir()}
        monkeypatch.setenv("DEPTHHUB_REMOTE", f"{serving.url}/models")
        yield serving


@pytest.fixture(scope="module")
def _s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(_s3_server: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An empty bucket that is the remote store."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    name = f"models-{next(_numbers)}"
    _s3_server.client().create_bucket(Bucket=name)
    monkeypatch.setenv("DEPTHHUB_REMOTE", f"s3://{name}/depthhub")
    _s3_server.requests.clear()
    return _s3_server
