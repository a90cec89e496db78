"""release.yml: run here job by job, and what it must never do."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, TAG, VERSION, commit, git
from .github_server import TOKEN, GitHubServer
from .workflow_runner import WORKFLOW, Run, workflow

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def repository(tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This project as it lies here, with a changelog that is ready and a catalog that the local Hub can serve."""
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("registry", "cache", "scripts"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, root)
    pyproject = (root / "pyproject.toml").read_text()
    (own,) = [line for line in pyproject.splitlines() if line.startswith('version = "')]
    (root / "pyproject.toml").write_text(pyproject.replace(own, f'version = "{VERSION}"'))
    (root / "CHANGELOG.md").write_text(f"# Changelog\n\n## {VERSION}\n\n- The first.\n")
    (root / "registry" / "depthhub" / "catalog" / "catalog.json").write_bytes(catalog.read_bytes())
    monkeypatch.delenv("DEPTHHUB_CATALOG")
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    return root


@pytest.fixture
def run(repository: Path, tmp_path: Path) -> Iterator[Run]:
    place = tmp_path / "machines"
    place.mkdir()
    return Run(repository, place, "push", TAG, {"GITHUB_TOKEN": TOKEN})


@pytest.mark.slow
def test_a_pushed_tag_is_built_converted_attested_uploaded_indexed_and_shown(run: Run) -> None:
    git(run.repository, "tag", TAG)
    server = GitHubServer()
    server.tags[TAG] = git(run.repository, "rev-parse", "HEAD")
    with server.serving():
        run.environment |= {"GITHUB_API_URL": server.urls["api"], "GITHUB_SERVER_URL": server.urls["web"]}
        run.all()
        there = server.digests(TAG)
        assert not server.release(TAG)["draft"]
        run.job("upload")  # somebody runs the last jobs again
        run.job("publish")
        assert server.digests(TAG) == there
    listed = dict(reversed(line.split("  ")) for line in run.attested.splitlines())
    assert {name: sha256 for name, sha256 in there.items() if name != "SHA256SUMS"} == listed
    assert set(run.indexed) == {f"depthhub-{VERSION}.tar.gz", f"depthhub-{VERSION}-py3-none-any.whl"}
    assert {name for name in there if name.endswith(".tar")} == {"demo-one.tar", "demo-two.tar"}
    manifest = json.loads(server.stored["manifest.json"])
    assert {model["name"] for model in manifest["withheld"]} == {"demo-closed", "demo-unstated"}
    assert "demo-closed" in server.release(TAG)["body"]


@pytest.mark.slow
def test_started_by_hand_it_does_the_same_and_uploads_nothing(run: Run) -> None:
    run.event, run.ref_name = "workflow_dispatch", "main"
    run.all()
    assert run.log.keys() == {"test", "packages", "models"}
    assert f"There is no tag {TAG} here" in run.log["packages"]
    assert "would be uploaded: demo-one.tar" in run.log["models"]
    assert (run.attested, run.indexed) == ("", {})
    assert run.summary.startswith("- The first.")


@pytest.mark.slow
def test_a_tag_that_is_not_that_of_the_version_is_stopped_before_anything_is_built(run: Run) -> None:
    git(run.repository, "tag", "v9.9.9")
    run.ref_name = "v9.9.9"
    with pytest.raises(AssertionError, match=rf"The tag is v9\.9\.9, and pyproject.toml has version {VERSION}"):
        run.job("packages")


def test_every_job_has_the_least_permissions_and_those_that_write_need_a_pushed_tag() -> None:
    told = workflow()
    assert told["permissions"] == {}
    granted = {name: job["permissions"] for name, job in told["jobs"].items()}
    assert granted == {
        "test": {"contents": "read"},
        "packages": {"contents": "read"},
        "models": {"contents": "read"},
        "attest": {"id-token": "write", "attestations": "write"},
        "upload": {"contents": "write"},
        "package-index": {"id-token": "write"},
        "publish": {"contents": "write"},
    }
    for name, job in told["jobs"].items():
        assert ("write" in job["permissions"].values()) == (job.get("if") == "github.event_name == 'push'"), name
    assert told["env"] == {"RELEASE": "${{ github.event_name == 'push' && github.ref_name || '--dry-run' }}"}
    assert told[True] == {"push": {"tags": ["v*"]}, "workflow_dispatch": None}


def test_the_jobs_that_write_run_nothing_but_the_step_they_are_for() -> None:
    for name, command in (("upload", "upload"), ("publish", "publish")):
        scripts = [step["run"] for step in workflow()["jobs"][name]["steps"] if "run" in step]
        assert scripts == [f'scripts/release {command} "$RELEASE"']
    for name in ("attest", "package-index"):
        assert not [step for step in workflow()["jobs"][name]["steps"] if "run" in step]


def test_all_that_writes_waits_for_the_tests_and_the_index_for_the_draft() -> None:
    jobs = workflow()["jobs"]

    def before(name: str) -> set[str]:
        needs = jobs[name].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*(before(other) for other in direct))

    for name, job in jobs.items():
        if "write" in job["permissions"].values():
            assert before(name) >= {"test", "packages", "models"}, name
    assert before("package-index") >= {"attest", "upload"}
    assert before("publish") >= {"attest", "upload", "package-index"}


def test_the_steps_that_install_nothing_run_on_a_bare_python(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = f"""
import sys
sys.path[:0] = {[str(ROOT / name) for name in ("scripts", "registry", "cache")]!r}
import releasing.__main__, releasing.manifest, releasing.publishing
print(*sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "depthhub" in loaded
    assert not loaded & {"torch", "numpy", "huggingface_hub", "safetensors", "filelock", "fsspec", "platformdirs"}


def test_the_guide_names_every_step_every_kind_of_asset_and_every_licence_that_passes() -> None:
    from releasing.__main__ import STEPS
    from releasing.licences import REDISTRIBUTABLE
    from releasing.models import LICENCE_FILE

    guide = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", guide[: guide.index("## The licence gate")], re.MULTILINE)
    assert rows == list(STEPS)
    assert all(f"`{name}`" in guide for name in (*REDISTRIBUTABLE, LICENCE_FILE))
    for link in re.findall(r"\]\(([^)#:]+)\)", guide):
        assert (ROOT / "docs" / link).exists(), link


def every_step() -> Iterator[dict[str, Any]]:
    for job in workflow()["jobs"].values():
        yield from job["steps"]


def test_every_script_is_one_of_ours_and_holds_no_expression() -> None:
    scripts = [step["run"] for step in every_step() if "run" in step]
    assert scripts
    for script in scripts:
        assert script.startswith(("scripts/test", "scripts/release ")), script
        assert "${{" not in script
    assert "secrets." not in WORKFLOW.read_text()
