"""A catalog that somebody else wrote: the same schema, and one clear error where it is broken."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthhub.catalog import Catalog
from depthhub.catalog.fields import LIMIT
from depthhub.errors import CatalogError, DepthHubError, NotFoundError
from depthhub.model.config import Build

GOOD: dict[str, Any] = {
    "version": 1,
    "aliases": {"ours": "ours-vits"},
    "checkpoints": [
        {
            "name": "ours-vits",
            "family": "ours",
            "encoder": "vits",
            "repo_id": "us/ours",
            "repo_type": "model",
            "filename": "weights/ours.safetensors",
            "sha256": "ab" * 32,
            "licence": "mit",
            "official": False,
            "layout": "depthhub",
            "build": {"family": "v2-metric", "taps": "spread", "activation": "sigmoid", "max_depth": 12.5},
        },
        {
            "name": "theirs",
            "family": "theirs",
            "repo_id": "them/theirs",
            "repo_type": "space",
            "filename": "theirs.pth",
            "licence_note": "Nobody says.",
            "official": True,
            "unsupported": "Its head is another; use ours.",
        },
    ],
}


def write(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "catalog.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_a_third_partys_catalog_is_read_with_what_it_may_leave_out(tmp_path: Path) -> None:
    catalog = Catalog.load(write(tmp_path, GOOD))
    ours, theirs = catalog
    assert catalog.find("ours") is ours
    assert ours.build == Build("v2-metric", 12.5)
    assert ours.sha256 == "ab" * 32  # no count: whoever wrote this catalog vouches for it
    assert (ours.revision, ours.revision_hint, ours.size, ours.notes) == (None, None, None, None)
    assert (theirs.encoder, theirs.licence, theirs.build, theirs.layout) == (None, None, None, None)


def test_it_stands_apart_from_the_built_in_one(tmp_path: Path) -> None:
    Catalog.load(write(tmp_path, GOOD))
    assert "v2-vitl" in {entry.name for entry in Catalog.load()}
    assert "ours-vits" not in {entry.name for entry in Catalog.load()}


def first(**changes: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for name, value in changes.items():
            if value is ...:
                del data["checkpoints"][0][name]
            else:
                data["checkpoints"][0][name] = value

    return change


def build(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["checkpoints"][0]["build"].update(changes)


def second(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["checkpoints"][1].update(changes)


def top(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(changes)


BREACHES: list[tuple[Callable[[dict[str, Any]], None], str | None, str]] = [
    (first(name=...), "number 1", "name"),
    (first(name="Ours"), "'Ours'", "name"),
    (first(name="ours.pth"), "'ours.pth'", "name"),
    (first(family=" "), "'ours-vits'", "family"),
    (first(encoder=3), "'ours-vits'", "encoder"),
    (first(repo_id="ours"), "'ours-vits'", "repo_id"),
    (first(repo_id="us/../ours"), "'ours-vits'", "repo_id"),
    (first(repo_type="dataset"), "'ours-vits'", "repo_type"),
    (first(repo_type=["model"]), "'ours-vits'", "repo_type"),
    (first(filename="../ours.pth"), "'ours-vits'", "filename"),
    (first(filename="/etc/passwd"), "'ours-vits'", "filename"),
    (first(filename="C:ours.pth"), "'ours-vits'", "filename"),
    (first(revision="main"), "'ours-vits'", "revision"),
    (first(revision="AB" * 20), "'ours-vits'", "revision"),
    (first(revision_corroborations=2), "'ours-vits'", "revision_corroborations"),
    (first(sha256="ab" * 31), "'ours-vits'", "sha256"),
    (first(sha256="ab" * 32 + "\n"), "'ours-vits'", "sha256"),
    (first(sha256_corroborations=0), "'ours-vits'", "sha256_corroborations"),
    (first(size=0), "'ours-vits'", "size"),
    (first(size=True), "'ours-vits'", "size"),
    (first(size=1.5), "'ours-vits'", "size"),
    (first(licence="MIT licence"), "'ours-vits'", "licence"),
    (first(licence=None), "'ours-vits'", "licence_note"),
    (first(licence_disputed=True), "'ours-vits'", "licence_note"),
    (first(official="yes"), "'ours-vits'", "official"),
    (first(layout="other"), "'ours-vits'", "layout"),
    (first(layout=None), "'ours-vits'", "layout"),
    (first(build=None), "'ours-vits'", "build"),
    (first(build="v2"), "'ours-vits'", "build"),
    (first(unsupported="No."), "'ours-vits'", "build"),
    (first(filname="x"), "'ours-vits'", "filname"),
    (build(family="v3"), "'ours-vits'", "build.family"),
    (build(taps="last-four"), "'ours-vits'", "build.taps"),
    (build(activation="relu"), "'ours-vits'", "build.activation"),
    (build(max_depth=None), "'ours-vits'", "build.max_depth"),
    (build(max_depth=-1), "'ours-vits'", "build.max_depth"),
    (build(max_depth="20"), "'ours-vits'", "build.max_depth"),
    (build(max_depth=10**400), "'ours-vits'", "build.max_depth"),
    (build(max_depth=float("nan")), "'ours-vits'", "build.max_depth"),
    (build(family="v1"), "'ours-vits'", "build.max_depth"),
    (build(depth=1), "'ours-vits'", "build.depth"),
    (second(layout="original"), "'theirs'", "layout"),
    (second(name="ours-vits"), "ours-vits", "name"),
    (second(repo_id="us/ours", repo_type="model", filename="weights/ours.safetensors"), "theirs", "filename"),
    (second(sha256="ab" * 32), "theirs", "sha256"),
    (top(version=2), None, "version"),
    (top(version=None), None, "version"),
    (top(checkpoints={}), None, "checkpoints"),
    (top(checkpoints=None), None, "checkpoints"),
    (top(models=[]), None, "models"),
    (top(aliases=[]), None, "aliases"),
    (top(aliases={"a b": "theirs"}), None, "aliases"),
    (top(aliases={"theirs": "ours-vits"}), None, "aliases"),
    (top(aliases={"ours": "mine"}), None, "aliases"),
    (top(aliases={"ours": "yours", "yours": "ours-vits"}), None, "aliases"),
    (top(aliases={"ours": ["ours-vits"]}), None, "aliases"),
    (lambda data: data["checkpoints"].append("x"), "number 3", ""),
]


@pytest.mark.parametrize(("change", "entry", "field"), BREACHES)
def test_a_breach_of_the_schema_names_file_checkpoint_and_field(
    change: Callable[[dict[str, Any]], None], entry: str | None, field: str, tmp_path: Path
) -> None:
    data = copy.deepcopy(GOOD)
    change(data)
    path = write(tmp_path, data)
    with pytest.raises(CatalogError) as caught:
        Catalog.load(path)
    error = caught.value
    assert (error.path, error.entry, error.field) == (path, entry, field or None)
    message = str(error)
    assert str(path) in message
    assert field in message
    assert (entry or "") in message
    assert "\n" not in message


def test_a_long_value_is_not_told_whole(tmp_path: Path) -> None:
    data = copy.deepcopy(GOOD)
    first(sha256="x" * 100_000)(data)
    with pytest.raises(CatalogError) as caught:
        Catalog.load(write(tmp_path, data))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 100_000, '{"version": 1, "version": 1, "checkpoints": []}'],
    ids=["empty", "cut", "a list", "null", "deep", "twice"],
)
def test_what_is_not_a_json_object_is_one_error_of_ours(text: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"Catalog .*catalog\.json"):
        Catalog.load(write(tmp_path, text))


def test_bytes_that_are_no_text_are_one_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_bytes(b"\xff\xfe\x00\xff")
    with pytest.raises(CatalogError):
        Catalog.load(path)


def test_a_catalog_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no catalog"):
        Catalog.load(tmp_path / "none.json")


def test_a_folder_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        Catalog.load(tmp_path)


def test_a_file_larger_than_any_catalog_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.json").write_bytes(b" " * (LIMIT + 1))
    with pytest.raises(CatalogError, match="is larger than"):
        Catalog.load(tmp_path / "large.json")


def test_the_error_is_of_the_family_and_survives_pickling(tmp_path: Path) -> None:
    data = copy.deepcopy(GOOD)
    first(size=0)(data)
    with pytest.raises(CatalogError) as caught:
        Catalog.load(write(tmp_path, data))
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, DepthHubError)
    assert isinstance(again, ValueError)
    assert (str(again), again.entry, again.field) == (str(caught.value), "'ours-vits'", "size")
