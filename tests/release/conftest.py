"""A project that is about to be released, the Hub that has its models, and the GitHub that takes the release."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from depthhub.testing import LocalHub, make_checkpoint

from ..catalogs import checkpoint, write_catalog
from .github_server import REPOSITORY, TOKEN, GitHubServer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

if sys.platform == "win32":  # a release is made on Linux
    collect_ignore_glob = ["test_*"]

VERSION, TAG = "1.2.3", "v1.2.3"
TIME = 1_700_000_000
CHANGELOG = """# Changelog

## Unreleased

- Later.

## 1.2.3 - 2023-11-14

- The first.

## 1.2.2

- Before.
"""

Run = Callable[..., int]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with what a release reads, committed and tagged."""
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "GIT_"))]:
        monkeypatch.delenv(name)
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text(f'[project]\nname = "depthhub"\nversion = "{VERSION}"\n')
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    (root / ".gitignore").write_text("dist/\n")
    shutil.copy(ROOT / "LICENSE", root)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    git(root, "tag", TAG)
    return root


def commit(root: Path, *, time: int = TIME) -> str:
    """Commit all that is there; the commit."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "As it is", time=time)
    return git(root, "rev-parse", "HEAD")


def git(root: Path, *arguments: str, time: int = TIME) -> str:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_DATE": f"{time} +0000",
        "GIT_COMMITTER_DATE": f"{time} +0000",
    }
    command = ["git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def release(project: Path, out: Path) -> Run:
    """`scripts/release` in this process, for the project: its exit code."""
    from releasing.__main__ import main

    def run(step: str, *arguments: str, folder: Path = out) -> int:
        what = () if "--dry-run" in arguments else (TAG,)
        options = ("--repository", REPOSITORY, "--only", "demo-*", "--out", str(folder))
        return main([step, *what, *options, *arguments], root=project)

    return run


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three small ones, each with other numbers."""
    folder = tmp_path_factory.mktemp("checkpoints-of-a-release")
    return {
        name: make_checkpoint(folder / f"{name}.safetensors", encoder="tiny", seed=seed)
        for seed, name in enumerate(("one", "two", "closed"), 1)
    }


@pytest.fixture
def catalog(local_hub: LocalHub, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Beside the built-in ones: two models that may be redistributed, and two that may not, each for its own reason.

    demo-one is pinned; of demo-two one source alone states the sha256.
    """
    commits = {
        name: local_hub.add_file(f"authors/{name}", "model.safetensors", path) for name, path in checkpoints.items()
    }

    def model(name: str, of: str, **more: object) -> dict[str, object]:
        facts = checkpoint(
            name,
            repo_id=f"authors/{of}",
            filename="model.safetensors",
            revision=commits[of],
            sha256=hashlib.sha256(checkpoints[of].read_bytes()).hexdigest(),
            size=checkpoints[of].stat().st_size,
        )
        return {**facts, **more}

    path = write_catalog(
        tmp_path / "catalog.json",
        model("demo-one", "one"),
        model("demo-two", "two", sha256_corroborations=1, revision_corroborations=1),
        model("demo-closed", "closed", licence="cc-by-nc-4.0"),
        model("demo-unstated", "two", filename="other.safetensors", sha256=None, sha256_corroborations=None),
    )
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(path))
    return path


@pytest.fixture
def github(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """Knows the tag; the environment points to it, and what may pass is tried again at once."""
    server = GitHubServer()
    server.tags[TAG] = git(project, "rev-parse", "HEAD")
    monkeypatch.setattr("releasing.github.WAITS", (0.0, 0.0, 0.0))
    with server.serving():
        monkeypatch.setenv("GITHUB_API_URL", server.urls["api"])
        monkeypatch.setenv("GITHUB_SERVER_URL", server.urls["web"])
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield server


@pytest.fixture
def packages(project: Path, out: Path) -> Path:
    """What `build` would have made, as far as what comes after it looks."""
    return write_packages(out / "packages")


def write_packages(folder: Path, *, time: int = TIME) -> Path:
    """Small ones that bear the time of a commit."""
    folder.mkdir(parents=True)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo(f"depthhub-{VERSION}/PKG-INFO")
        member.mtime = time
        archive.addfile(member)
    (folder / f"depthhub-{VERSION}.tar.gz").write_bytes(gzip.compress(made.getvalue(), mtime=0))
    when = datetime.fromtimestamp(time, timezone.utc).timetuple()[:6]
    with zipfile.ZipFile(folder / f"depthhub-{VERSION}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(zipfile.ZipInfo("depthhub/__init__.py", when), "")
    return folder
