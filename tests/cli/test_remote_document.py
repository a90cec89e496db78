"""docs/remote.md: its commands are typed as they are printed, in one shell, against a store that speaks S3."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthhub.testing import LocalHub

from ..cache.remote.s3_server import S3Server

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(os.name == "nt", reason="its commands are those of a POSIX shell"),
]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "remote.md").read_text(encoding="utf-8")


@pytest.fixture
def store() -> Iterator[S3Server]:
    server = S3Server()
    server.client().create_bucket(Bucket="models")
    yield server
    server.close()


def test_the_commands_do_what_the_document_says(
    store: S3Server, local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_hub.add_file("me/forest", "forest.pth", tiny)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    blocks = re.findall(r"^```console\n(.+?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    commands = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    script = "\n".join(["set -eux", "trap 'kill $(jobs -p)' EXIT", *commands]).replace("8766", port)
    script = script.replace("s3://models/depthhub", f"s3://models/{tmp_path.name}")  # where nobody else has been

    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("was there, pushed") == 2  # into the bucket, and into the folder
    assert re.search(r"hf://me/forest@main +from the remote store", done.stdout)
    assert len(re.findall(r"hf://me/forest@main +pulled ", done.stdout)) == 2  # each of the other machines
    downloads = [request for request in local_hub.requests if request.host == "cdn"]
    assert len(downloads) == 1  # the job's
