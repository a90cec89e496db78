from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthhub_cache.store import Store

from ..samples import memory_folder
from .places import BucketShelf, FolderShelf, Shelf
from .s3_server import S3Server
from .web import Web


@pytest.fixture
def another() -> Iterator[Store]:
    """The cache of another machine."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        yield Store(Path(folder) / "cache")


@pytest.fixture
def web() -> Iterator[Web]:
    with Web().serving() as serving:
        yield serving


@pytest.fixture
def folder(tmp_path: Path) -> FolderShelf:
    (tmp_path / "remote").mkdir()
    return FolderShelf(tmp_path / "remote")


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a user of S3 has in the environment, and nothing of who runs the tests."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def s3(_s3_server: S3Server, aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", _s3_server.url)
    _s3_server.requests.clear()
    yield _s3_server
    _s3_server.before = lambda environ: None


@pytest.fixture
def bucket(s3: S3Server) -> BucketShelf:
    client, name = s3.client(), f"models-{uuid.uuid4()}"  # all servers of a process have the same buckets
    client.create_bucket(Bucket=name)
    return BucketShelf(client, name)


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """Each kind of remote that can be written to."""
    found: Shelf = request.getfixturevalue(request.param)
    return found
