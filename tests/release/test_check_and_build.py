"""`scripts/release check` and `build`: what is ready to be released, and that a build is the same everywhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT, TIME, Run, commit, git

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_what_is_tagged_committed_and_described_is_ready(release: Run, project: Path) -> None:
    assert release("check") == 0


@pytest.mark.parametrize(
    "what", ["version", "no tag", "moved tag", "no section", "empty section", "new file", "changed file"]
)
def test_what_is_not_ready_is_said_and_a_rehearsal_only_says_it(
    what: str, release: Run, project: Path, out: Path, capsys
) -> None:
    expected = _spoil(project, what)
    assert release("check") == 1
    told = capsys.readouterr()
    assert expected in told.out
    assert "1 things have to be mended" in told.err
    if what != "version":  # a rehearsal is of the version that there is
        assert release("check", "--dry-run") == 0
        assert expected in capsys.readouterr().out


def _spoil(project: Path, what: str) -> str:
    """Do one thing wrong, and the tag anew where that is not it: what should be said of it."""
    pyproject, changelog = project / "pyproject.toml", project / "CHANGELOG.md"
    if what == "version":
        pyproject.write_text(pyproject.read_text().replace("1.2.3", "1.2.2"))
        expected = "pyproject.toml has version 1.2.2, which is tagged v1.2.2"
    elif what == "no tag":
        git(project, "tag", "--delete", "v1.2.3")
        return "There is no tag v1.2.3 here"
    elif what == "moved tag":
        commit(project)
        git(project, "commit", "--amend", "--allow-empty", "--quiet", "--message", "Another")
        return "The tag v1.2.3 is at commit"
    elif what == "no section":
        changelog.write_text(changelog.read_text().replace("## 1.2.3", "## 1.2.33"))
        expected = "CHANGELOG.md has no section `## 1.2.3`"
    elif what == "empty section":
        changelog.write_text(changelog.read_text().replace("- The first.", ""))
        expected = "CHANGELOG.md says nothing under 1.2.3"
    elif what == "changed file":
        (project / "LICENSE").write_text("Do what you like.")
        return "1 files are not as they were committed, such as LICENSE."
    else:
        (project / "notes.txt").write_text("left behind")
        return "1 files are not as they were committed, such as notes.txt."
    commit(project)
    git(project, "tag", "--force", "v1.2.3")
    return expected


def test_every_other_step_refuses_a_tag_that_is_not_checked_out(release: Run, project: Path, capsys) -> None:
    from releasing.__main__ import main

    for step in ("build", "models", "manifest", "upload", "publish", "all"):
        assert main([step, "v9.9.9", "--repository", "me/depthhub"], root=project) == 1
        assert "v1.2.3 is checked out, and not v9.9.9" in capsys.readouterr().err


@pytest.mark.parametrize("repository", ["", "depthhub", "me/depth hub", "me/../depthhub", "me/depthhub/x", "-/x y"])
def test_what_is_no_repository_is_refused(repository: str, project: Path, capsys) -> None:
    from releasing.__main__ import main

    assert main(["models", "v1.2.3", "--repository", repository], root=project) == 1
    assert "say OWNER/REPOSITORY" in capsys.readouterr().err
    assert main(["check", "v1.2.3", "--repository", repository], root=project) == 0, "which names none"


@pytest.fixture(scope="module")
def real_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as it lies here, committed in a repository of the test's own."""
    root = tmp_path_factory.mktemp("real") / "project"
    root.mkdir()
    for name in ("registry", "cache", "docs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    return root


def test_two_builds_are_the_same_byte_by_byte(real_project: Path, tmp_path: Path, monkeypatch) -> None:
    """In another folder, with another umask, time zone and language, and with rubbish lying about."""
    one = _build(real_project, tmp_path / "one")
    clone = tmp_path / "a clone elsewhere"
    git(tmp_path, "clone", "--quiet", str(real_project), str(clone))
    (clone / "registry" / "depthhub" / "left_behind.py").write_text("secret = 1\n")
    (clone / "README.md").write_text("changed, and not committed\n")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    old = os.umask(0o077)
    try:
        two = _build(clone, tmp_path / "two")
    finally:
        os.umask(old)
    assert one == two
    sdist, wheel = sorted((tmp_path / "one" / "packages").iterdir(), key=lambda path: path.suffix)
    with tarfile.open(sdist) as archive:
        assert {member.mtime for member in archive} == {TIME}
        assert not [member for member in archive if "left_behind" in member.name]
    with zipfile.ZipFile(wheel) as archive:
        assert {name.split("/")[0] for name in archive.namelist() if ".dist-info" not in name} == {
            "depthhub",
            "depthhub_cache",
        }


def test_a_later_commit_is_another_build_and_takes_the_place_of_the_former(real_project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(real_project), str(clone))
    one = _build(clone, tmp_path / "out")
    commit(clone, time=TIME + 2 * 86_400)
    two = _build(clone, tmp_path / "out")
    assert one.keys() == two.keys()
    assert all(one[name] != two[name] for name in one)


def test_a_wheel_that_does_not_work_once_it_is_installed_is_not_kept(
    real_project: Path, tmp_path: Path, capsys
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(real_project), str(clone))
    (clone / "registry" / "depthhub" / "catalog" / "catalog.json").unlink()
    commit(clone)
    assert _run(clone, tmp_path / "out") == 1
    assert "does not work" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def _build(root: Path, out: Path) -> dict[str, str]:
    assert _run(root, out) == 0
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (out / "packages").iterdir()}


def _run(root: Path, out: Path) -> int:
    from releasing.__main__ import main

    return main(["build", "--dry-run", "--repository", "me/depthhub", "--out", str(out)], root=root)
