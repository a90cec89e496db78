"""The prewarm action, run as its README prints it: the workflow's steps, and those of action.yml, in real processes.

Against a Hub on loopback. pip is real, too: it builds and installs this checkout into the action's own environment.
What depthhub needs is found in the environment of the tests, so that nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from depthhub import lock
from depthhub.testing import Fault, LocalHub, make_checkpoint
from depthhub_cache.store import Store

from .job_runner import Job, JobFailed, assignments, machine_environment
from .kept_caches import KeptCaches

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(sys.platform == "win32", reason="the tests' own runner knows bash of POSIX systems"),
]

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "prewarm"
README = (ACTION / "README.md").read_text(encoding="utf-8")

ACTION_ALONE = [
    {"uses": "actions/checkout"},
    {"uses": "OWNER/depthhub/.github/actions/prewarm@COMMIT", "id": "weights"},
]

APPLICATION = """
from depthhub import NotLockedError, from_pretrained

def test_the_locked_models_load():
    for source in SOURCES:
        assert from_pretrained(source).config.blocks == 8

def test_nothing_else_does():
    try:
        from_pretrained("vits")
    except NotLockedError:
        return
    raise AssertionError("a model that is not locked was loaded")
"""


def printed_steps() -> list[dict[str, Any]]:
    """The steps of the workflow in the README."""
    (snippet,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (job,) = yaml.safe_load(snippet)["jobs"].values()
    return job["steps"]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one machine; its RUNNER_TEMP is emptied between jobs, but for the installed depthhub."""
    return tmp_path_factory.mktemp("machine")


@pytest.fixture
def hub(local_hub: LocalHub, tmp_path: Path) -> LocalHub:
    """Three repositories, each with a checkpoint of its own, under a licence."""
    for seed, name in enumerate(("forest", "field", "coast")):
        file = make_checkpoint(tmp_path / f"{name}.pth", encoder="tiny", seed=seed)
        local_hub.add_file(f"me/{name}", "README.md", b"---\nlicense: mit\n---\n", lfs=False)
        local_hub.add_file(f"me/{name}", f"{name}.pth", file)
    return local_hub


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "requirements.txt").write_text("# the application's own\n")
    return folder


@pytest.fixture
def lock_models(hub: LocalHub, repository: Path, tmp_path: Path) -> Callable[..., None]:
    """`lock_models("me/forest")`: what a developer commits: the lockfile, and tests that need its models."""

    def write(*sources: str) -> None:
        lock(sources, repository / "depthhub.lock", family="v2", cache_dir=tmp_path / "developer")
        (repository / "test_application.py").write_text(f"SOURCES = {sources!r}\n{APPLICATION}")
        hub.clear_log()

    return write


@pytest.fixture
def caches(tmp_path: Path) -> KeptCaches:
    return KeptCaches(tmp_path / "kept")


@pytest.fixture
def run(machine: Path, repository: Path, caches: KeptCaches, hub: LocalHub, tmp_path: Path) -> Callable[..., Job]:
    """`run()`: one job of the README's workflow. lacking: packages. wheels: what pip can find besides."""

    def job(steps: list[dict[str, Any]] | None = None, *, lacking: str = "", wheels: Path | None = None) -> Job:
        workspace, temp = machine / "work", machine / "temp"
        shutil.rmtree(workspace, ignore_errors=True)
        for left in temp.iterdir() if temp.exists() else ():
            if left.name != "depthhub-python":
                shutil.rmtree(left)
        environment = machine_environment(
            PYTHONPATH=str(installed_packages(tmp_path / f"all-but-{lacking}", lacking)),
            PATH=f"{python_of_the_job(tmp_path)}:{machine_environment()['PATH']}",
            PIP_NO_BUILD_ISOLATION="0",  # as pip reads it: without isolation, so that hatchling is not downloaded
            PIP_NO_INDEX="1",
            PIP_CONFIG_FILE=os.devnull,
            PIP_FIND_LINKS=str(wheels or ""),
        )
        made = Job(repository, workspace, temp, caches, {"OWNER/depthhub/.github/actions/prewarm": ACTION}, environment)
        return made.run(printed_steps() if steps is None else steps)

    return job


def installed_packages(folder: Path, lacking: str) -> Path:
    """What is installed here, where pip finds it, but for depthhub and what is to be lacking."""
    if not folder.exists():
        folder.mkdir()
        left_out = ("depthhub", "_depthhub", *([lacking] if lacking else []))
        for path in Path(site.getsitepackages()[0]).iterdir():
            if not path.name.startswith(left_out) and path.suffix != ".pth":
                (folder / path.name).symlink_to(path)
    return folder


def python_of_the_job(tmp_path: Path) -> Path:
    """A folder for PATH whose `python` has what the application needs; `python3` is the one that the action starts."""
    folder = tmp_path / "bin"
    if not folder.exists():
        folder.mkdir()
        for name in ("python", "python3"):
            program = folder / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            program.chmod(0o755)
    return folder


def outputs(job: Job) -> dict[str, str]:
    return job.outputs["weights"]


def keys_in(cache: Path) -> set[str]:
    return {entry.key for entry in Store(cache).entries()}


def locked_keys(repository: Path) -> set[str]:
    return {model["key"] for model in json.loads((repository / "depthhub.lock").read_text())["models"]}


def downloads(hub: LocalHub) -> list[str]:
    """Names of the files that were asked for at the CDN."""
    return [request.path.rpartition("/")[2] for request in hub.requests if request.host == "cdn"]


@pytest.mark.slow
def test_a_first_run_pulls_and_keeps_and_a_second_asks_nobody(
    run: Callable[..., Job], lock_models: Callable[..., None], hub: LocalHub, caches: KeptCaches, repository: Path
) -> None:
    lock_models("me/forest", "me/field")

    first = run()
    assert sorted(downloads(hub)) == ["field.pth", "forest.pth"]
    assert outputs(first)["cache-hit"] == "false"
    assert "2 passed" in first.log
    assert "Cache: miss" in first.summary
    assert caches.saved == [outputs(first)["key"]]
    assert keys_in(caches.content(outputs(first)["key"])) == locked_keys(repository)

    hub.clear_log()
    second = run(lacking="torch")  # of the action; the application, which comes after it, finds its own
    assert hub.requests == []
    assert outputs(second)["cache-hit"] == "true"
    weights = [entry.weights for entry in Store(Path(second.env["DEPTHHUB_CACHE"])).entries()]
    assert outputs(second)["bytes"] == str(sum(path.stat().st_size for path in weights))
    assert "Cache: hit" in second.summary
    assert second.summary.count("| mit |") == second.summary.count("restored |") == 2
    assert f"cache hit true, {outputs(second)['bytes']} bytes under {outputs(second)['key']}" in second.log
    assert caches.saved == [outputs(first)["key"]]


@pytest.mark.slow
def test_a_changed_lockfile_starts_from_what_was_kept_and_keeps_no_more_than_it_names(
    run: Callable[..., Job], lock_models: Callable[..., None], hub: LocalHub, caches: KeptCaches, repository: Path
) -> None:
    lock_models("me/forest", "me/field")
    first = run(ACTION_ALONE)
    lock_models("me/forest", "me/coast")
    second = run(ACTION_ALONE)
    assert downloads(hub) == ["coast.pth"]
    assert outputs(second)["cache-hit"] == "false"
    assert f"Cache: partial, from `{outputs(first)['key']}`" in second.summary
    assert "| `hf://me/coast@main` | mit |" in second.summary
    assert re.search(r"forest@main.*restored", second.summary)
    assert "does not name them: 1." in second.summary
    assert caches.saved == [outputs(first)["key"], outputs(second)["key"]]
    assert keys_in(caches.content(outputs(second)["key"])) == locked_keys(repository)

    hub.clear_log()
    third = run(ACTION_ALONE, lacking="torch")
    assert (outputs(third)["cache-hit"], hub.requests) == ("true", [])


@pytest.mark.slow
def test_a_changed_byte_in_what_was_kept_is_found_and_mended_and_said(
    run: Callable[..., Job], lock_models: Callable[..., None], hub: LocalHub, caches: KeptCaches, tmp_path: Path
) -> None:
    lock_models("me/forest", "me/field")
    key = outputs(run(ACTION_ALONE))["key"]
    damaged, _ = Store(caches.content(key)).entries()
    content = bytearray(damaged.weights.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.weights.chmod(0o644)
    damaged.weights.write_bytes(content)

    hub.clear_log()
    mended = run(ACTION_ALONE)
    assert len(downloads(hub)) == 1
    assert outputs(mended)["cache-hit"] == "false"
    assert f"::warning title=depthhub::What was kept under {key}" in mended.log
    assert f"gh cache delete {key}" in mended.log
    assert mended.summary.count("damaged, pulled again") == mended.summary.count("restored") == 1
    assert caches.saved == [key]
    cache = Path(mended.env["DEPTHHUB_CACHE"])
    developers = {entry.key: entry.record.weights_sha256 for entry in Store(tmp_path / "developer").entries()}
    assert {entry.key: sha256_of(entry.weights) for entry in Store(cache).entries()} == developers
    assert list(Store(cache).set_aside()) == []


@pytest.mark.slow
def test_sound_entries_with_other_numbers_than_the_locked_ones_are_replaced(
    run: Callable[..., Job], lock_models: Callable[..., None], hub: LocalHub, caches: KeptCaches
) -> None:
    lock_models("me/forest")
    key = outputs(run(ACTION_ALONE))["key"]
    store = Store(caches.content(key))
    (entry,) = store.entries()
    content, about = bytearray(entry.weights.read_bytes()), entry.record.about
    content[-1] ^= 1
    store.remove(entry.key)
    with store.stage() as staging:
        with staging.file("weights.safetensors") as staged:
            staged.write(bytes(content))
        store.publish(entry.key, staging, about=about)

    mended = run(ACTION_ALONE)
    (now,) = Store(Path(mended.env["DEPTHHUB_CACHE"])).entries()
    assert sha256_of(now.weights) == entry.record.weights_sha256
    assert outputs(mended)["cache-hit"] == "false"
    assert f"gh cache delete {key}" in mended.log


@pytest.mark.slow
def test_where_the_hub_has_no_answer_the_job_fails_with_the_reason_and_keeps_nothing(
    run: Callable[..., Job],
    lock_models: Callable[..., None],
    hub: LocalHub,
    caches: KeptCaches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock_models("me/forest")
    monkeypatch.setenv("DEPTHHUB_TOTAL_TIMEOUT", "2")
    hub.inject(Fault.status(503), times=None)
    with pytest.raises(JobFailed) as failed:
        run(ACTION_ALONE)
    assert "the Hub answered 503" in str(failed.value)
    assert "::error title=depthhub::`depthhub pull --locked` ended with 4" in str(failed.value)
    assert str(failed.value).endswith("ended with 4")
    assert caches.saved == []


def test_without_a_lockfile_the_first_step_says_what_to_do(run: Callable[..., Job]) -> None:
    with pytest.raises(
        JobFailed, match=r"::error title=depthhub::There is no lockfile .*depthhub\.lock\. Write one with"
    ):
        run(ACTION_ALONE)


def test_a_file_that_is_no_lockfile_is_named(run: Callable[..., Job], repository: Path) -> None:
    (repository / "depthhub.lock").write_text('{"models": 3}')
    with pytest.raises(JobFailed, match="cannot be read as a lockfile"):
        run(ACTION_ALONE)


@pytest.mark.slow
def test_version_lockfile_and_cache_dir_are_as_the_workflow_says(
    run: Callable[..., Job],
    lock_models: Callable[..., None],
    repository: Path,
    tmp_path: Path,
) -> None:
    lock_models("me/forest")
    (repository / "models").mkdir()
    (repository / "depthhub.lock").rename(repository / "models" / "a name.lock")
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT]
    subprocess.run(build, check=True)
    given = {
        "version": version("depthhub"),
        "extras": "s3, http",
        "lockfile": "models/a name.lock",
        "cache-dir": "image/$(weights)",
    }
    checkout, action = ACTION_ALONE
    job = run([checkout, {**action, "with": given}], wheels=wheels)
    assert job.env["DEPTHHUB_LOCKFILE"] == str(job.workspace / "models" / "a name.lock")
    assert job.env["DEPTHHUB_CACHE"] == str(job.workspace / "image" / "$(weights)")
    assert len(keys_in(job.workspace / "image" / "$(weights)")) == 1
    installed = job.temp / "depthhub-python" / "installed"
    assert installed.read_text() == f"depthhub=={version('depthhub')} [http,s3]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "lacking", "said"),
    [
        ({"version": "9.9.9"}, "", r"depthhub could not be installed: .* depthhub==9\.9\.9 ended"),
        ({"extras": "http"}, "aiohttp", r"depthhub could not be installed: .* aiohttp>=3\.9 ended"),
        ({"extras": "ftp"}, "", r"depthhub has no extra ftp; it has azure, "),
    ],
)
def test_what_cannot_be_installed_is_one_error(
    run: Callable[..., Job], lock_models: Callable[..., None], given: dict[str, str], lacking: str, said: str
) -> None:
    lock_models("me/forest")
    checkout, action = ACTION_ALONE
    with pytest.raises(JobFailed, match=f"::error title=depthhub::{said}"):
        run([checkout, {**action, "with": given}], lacking=lacking)


def test_the_readme_lists_the_inputs_and_outputs_of_the_action() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
    for kind in ("input", "output"):
        (table,) = re.findall(rf"\| {kind} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README)
        assert re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE) == list(action[f"{kind}s"])


@pytest.mark.network
@pytest.mark.enable_socket
def test_the_readmes_lockfile_is_written_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = re.findall(r"^\$ (depthhub .*)$", README, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEPTHHUB_CACHE", str(tmp_path / "cache"))
    subprocess.run([sys.executable, "-m", *command.split()], check=True)
    assert locked_keys(tmp_path)


def test_no_value_of_an_output_can_assign_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ACTION))
    monkeypatch.setenv("GITHUB_ENV", str(tmp_path / "env"))
    import runner

    hostile = "a\nPATH=/elsewhere\nB<<end-0\nc\nend-0"
    runner.export("PLACE", hostile)
    assert assignments((tmp_path / "env").read_text()) == {"PLACE": hostile}


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
