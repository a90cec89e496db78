"""pytest fixtures: a LocalHub that depthhub and the Hub's client talk to, and an environment of their own.

In the `conftest.py` of your tests:

    pytest_plugins = ["depthhub.testing.plugin"]

Then a test that takes `local_hub` never leaves this machine, finds every cache empty, and has no token:

    def test_our_service_starts(local_hub, tmp_path):
        checkpoint = make_checkpoint(tmp_path / "tiny.pth", encoder="tiny")
        local_hub.add_file("owner/repo", "tiny.pth", checkpoint)
        assert our_service("owner/repo/tiny.pth").is_ready()

depthhub reads its environment whenever it is called, and processes that the test starts read it afresh. But
huggingface_hub reads most of its own when it is imported: once it is, HF_ENDPOINT has no effect on direct calls of
it, which then need `endpoint=local_hub.endpoint`. Where the imported client keeps its cache and its token is changed
for the test, so that neither your cache nor your login is touched.

Where pytest-socket bans sockets, mark these tests with `pytest.mark.allow_hosts(["127.0.0.1"])`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthhub.testing.local_hub import LocalHub

_OURS_AND_THEIRS = ("DEPTHHUB_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_")


@pytest.fixture
def hub_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches and no token, for depthhub and for the Hub's client: the folder that holds them.

    `hub` in it is the client's cache (HF_HUB_CACHE), `depthhub` ours (DEPTHHUB_CACHE).
    """
    home = tmp_path_factory.mktemp("hub_environment")
    for name in [name for name in os.environ if name.startswith(_OURS_AND_THEIRS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("DEPTHHUB_CACHE", str(home / "depthhub"))
    for name in ("NO_PROXY", "no_proxy"):  # a proxy of the environment could not reach this machine's ports
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    _tell_imported_client(home, monkeypatch)
    return home


@pytest.fixture
def local_hub(
    hub_environment: Path,  # noqa: ARG001 - for what it does
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LocalHub]:
    """A running, empty LocalHub, to which HF_ENDPOINT points."""
    with LocalHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


def _tell_imported_client(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the Hub's client would read from the environment, if it were imported now."""
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is None:
        return
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
