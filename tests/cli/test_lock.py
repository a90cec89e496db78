"""`depthhub lock` and what a lockfile does on the command line: exit codes, tables, and what is said to a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depthhub.testing import LocalHub

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

V2 = ("--family", "v2")
REPO = "me/forest"


@pytest.fixture
def hub(local_hub: LocalHub, tiny: Path) -> LocalHub:
    local_hub.add_file(REPO, "forest.pth", tiny)
    return local_hub


@pytest.fixture
def file(depthhub, hub: LocalHub, tmp_path: Path) -> Path:
    path = tmp_path / "depthhub.lock"
    assert depthhub("lock", REPO, *V2, "-o", path).code == 0
    return path


def test_without_a_name_it_is_depthhub_lock_in_this_folder(
    depthhub, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert depthhub("lock", REPO, *V2).code == 0
    assert json.loads((tmp_path / "depthhub.lock").read_text())["models"][0]["repo_id"] == REPO
    assert depthhub("lock", "--check").code == 0
    assert depthhub("pull", "--locked").code == 0


def test_the_setting_names_the_file_that_is_written_and_that_binds(
    depthhub, hub: LocalHub, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "models.lock"
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(path))
    assert depthhub("lock", REPO, *V2).code == 0
    assert path.exists()
    assert depthhub("path", REPO).code == 0
    assert depthhub("path", "vits").code == 10
    assert depthhub("predict", photo, "-m", "vits", "-o", tmp_path / "x.png").code == 10


def test_it_says_what_was_added_changed_and_removed(depthhub, hub: LocalHub, file: Path, tiny: Path) -> None:
    hub.add_file("me/field", "field.pth", tiny)
    assert (
        "added    hf://me/field@main (float16)"
        in depthhub("lock", "--add", "me/field", *V2, "--dtype", "float16", "-o", file).err
    )
    hub.add_file(REPO, "more.txt", b"more", lfs=False)
    assert "changed  hf://me/forest@main" in depthhub("lock", "--update", REPO, "-o", file).err
    assert "removed  hf://me/field@main (float16)" in depthhub("lock", REPO, *V2, "-o", file).err


def test_check_ends_with_10_and_a_table_where_a_branch_has_moved(depthhub, hub: LocalHub, file: Path) -> None:
    assert depthhub("lock", "--check", "-o", file).code == 0
    moved = hub.add_file(REPO, "more.txt", b"more", lfs=False)
    outcome = depthhub("lock", "--check", "-o", file)
    assert outcome.code == 10
    assert moved in outcome.out
    outcome = depthhub("lock", "--check", "-o", file, "--json")
    assert (outcome.code, outcome.json["stale"][0]["now"]) == (10, moved)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--check", "vits"], ["--update"], ["--update", "vits", "--dtype", "float16"], ["--add", "--check"]],
)
def test_a_command_line_that_says_too_little_or_too_much_is_a_usage_error(depthhub, arguments: list[str]) -> None:
    assert depthhub("lock", *arguments).code == 2


def test_pull_locked_takes_no_sources_and_needs_its_file(depthhub, hub: LocalHub, file: Path, tmp_path: Path) -> None:
    assert depthhub("pull", "--locked", "vits", "--lockfile", file).code == 2
    assert depthhub("pull", "--locked", "--dtype", "float16", "--lockfile", file).code == 2
    outcome = depthhub("pull", "--locked", "--lockfile", tmp_path / "none.lock")
    assert outcome.code == 2
    assert "depthhub lock SOURCE" in outcome.err


def test_pull_refuses_what_its_lockfile_does_not_name_and_pulls_the_rest(depthhub, file: Path) -> None:
    outcome = depthhub("pull", REPO, "vits", "--lockfile", file, "--json")
    assert outcome.code == 10
    assert outcome.json[0]["cached"] is True
    assert outcome.json[1]["error"]["type"] == "NotLockedError"


def test_a_local_file_is_a_usage_error(depthhub, tiny: Path, tmp_path: Path) -> None:
    assert depthhub("lock", tiny, *V2, "-o", tmp_path / "depthhub.lock").code == 2
