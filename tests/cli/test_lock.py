"""`depthhub lock` and what a lockfile does on the command line: exit codes, tables, and what is said to a person."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from depthhub.testing import Fault, LocalHub, make_checkpoint

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


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "lockfile.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


def test_what_is_written_and_what_is_printed_fits_the_schema(
    depthhub, hub: LocalHub, file: Path, schema: Draft202012Validator
) -> None:
    depthhub("lock", "--add", REPO, "--family", "v2-metric", "--max-depth", "20", "--dtype", "bfloat16", "-o", file)
    schema.validate(json.loads(file.read_text()))
    printed = depthhub("lock", "--update", REPO, "-o", file, "--json").json
    assert printed.pop("path") == str(file)
    assert printed == json.loads(file.read_text())
    assert len(printed["models"]) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sha256", "short"),
        ("commit", "main"),
        ("size", 0),
        ("repo_type", "dataset"),
        ("licence", "Any licence"),
        ("recipe", {"build": {}, "dtype": None, "layout_version": 1}),
        ("surplus", 1),
        ("key", None),
    ],
)
def test_what_the_schema_refuses_is_refused_by_the_program_too(
    depthhub, file: Path, schema: Draft202012Validator, field: str, value: object
) -> None:
    text = json.loads(file.read_text())
    text["models"][0][field] = value
    assert list(schema.iter_errors(text))
    file.write_text(json.dumps(text))
    assert depthhub("pull", "--locked", "--lockfile", file).code == 2


def test_check_ends_with_10_where_an_entry_of_the_cache_is_another(
    depthhub, hub: LocalHub, file: Path, cache: Path
) -> None:
    text = json.loads(file.read_text())
    text["models"][0]["weights_sha256"] = "0" * 64
    file.write_text(json.dumps(text))
    outcome = depthhub("lock", "--check", "-o", file, "--json")
    assert outcome.code == 10
    assert [stale["fact"] for stale in outcome.json["stale"]] == ["weights_sha256"]
    hub.clear_log()
    assert depthhub("lock", "--check", "-o", file).code == 10
    assert not [request for request in hub.requests if "resolve" in request.path]  # no weights are downloaded


def test_check_asks_the_hub_and_says_so_where_it_does_not_answer(depthhub, hub: LocalHub, file: Path) -> None:
    hub.inject(Fault.status(403, code="GatedRepo"), times=None)
    assert depthhub("lock", "--check", "-o", file).code == 5


def test_pull_locked_makes_the_locked_commit_though_the_branch_has_moved(
    depthhub, hub: LocalHub, file: Path, tmp_path: Path
) -> None:
    moved = hub.add_file(REPO, "forest.pth", make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=9))
    (model,) = json.loads(file.read_text())["models"]
    assert model["commit"] != moved
    hub.clear_log()
    (pulled,) = depthhub("pull", "--locked", "--lockfile", file, "--cache-dir", tmp_path / "new", "--json").json
    assert pulled["key"] == model["key"]
    assert hashlib.sha256(Path(pulled["path"]).read_bytes()).hexdigest() == model["weights_sha256"]
    assert not [request for request in hub.requests if "/api/" in request.path]


def test_a_local_file_is_a_usage_error(depthhub, tiny: Path, tmp_path: Path) -> None:
    assert depthhub("lock", tiny, *V2, "-o", tmp_path / "depthhub.lock").code == 2
