"""A lockfile that was edited, cut or made up is refused, with the field that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthhub import LockfileError, from_pretrained
from depthhub.lockfile import Lockfile
from depthhub.testing import LocalHub

from .models import REPO

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


BREACHES: list[tuple[dict[str, Any], str]] = [
    ({"key": "0" * 64}, "key"),
    ({"sha256": "1" * 64}, "key"),
    ({"sha256": "short"}, "sha256"),
    ({"commit": "main"}, "commit"),
    ({"size": -1}, "size"),
    ({"filename": "../up.pth"}, "filename"),
    ({"repo_id": "no-owner"}, "repo_id"),
    ({"repo_type": "dataset"}, "repo_type"),
    ({"licence": "Anything goes"}, "licence"),
    ({"source": "a b"}, "source"),
    ({"recipe": {"build": {"family": "v3"}, "dtype": None, "layout_version": 1}}, "recipe"),
    ({"weights_sha256": None}, "weights_sha256"),
    ({"extra": 1}, "extra"),
]


@pytest.mark.parametrize(("facts", "field"), BREACHES, ids=[f"{field}-{n}" for n, (_, field) in enumerate(BREACHES)])
def test_a_file_that_was_edited_is_refused_with_its_field(
    edited: Callable[..., Path], facts: dict[str, Any], field: str
) -> None:
    path = edited(**facts)
    with pytest.raises(LockfileError, match=field) as caught:
        from_pretrained(REPO, lockfile=path)
    assert (caught.value.path, caught.value.field) == (path, field)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"lockfile": 2, "models": []}', '{"models": []}', "<<<<<<< HEAD"]
)
def test_what_is_no_lockfile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "depthhub.lock"
    path.write_text(text)
    with pytest.raises(LockfileError):
        from_pretrained("vits", lockfile=path)


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockfileError, match="There is no lockfile"):
        from_pretrained("vits", lockfile=tmp_path / "depthhub.lock")


def test_two_sources_of_one_entry_with_different_weights_are_refused(locked: Path) -> None:
    """As after a merge: which of them counts would be chance."""
    text = json.loads(locked.read_text())
    [model] = text["models"]
    other = {**model, "source": f"hf://me/copy@{'a' * 40}", "repo_id": "me/copy", "commit": "a" * 40}
    locked.write_text(json.dumps({**text, "models": [model, other]}))
    assert len(Lockfile.read(locked).models) == 2
    locked.write_text(json.dumps({**text, "models": [model, {**other, "weights_sha256": "0" * 64}]}))
    with pytest.raises(LockfileError, match="are one entry"):
        Lockfile.read(locked)


def test_two_models_with_one_source_and_dtype_are_refused(locked: Path) -> None:
    text = json.loads(locked.read_text())
    text["models"] *= 2
    locked.write_text(json.dumps(text))
    with pytest.raises(LockfileError, match="twice"):
        Lockfile.read(locked)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["lockfile", "models", "source", "recipe", "key"]), inner)
        ),
    )
)
def test_whatever_json_it_is_a_lockfile_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: object
) -> None:
    path = tmp_path_factory.mktemp("lock") / "depthhub.lock"
    path.write_text(json.dumps(data))
    if isinstance(data, dict) and data.get("lockfile") == 1 and data.get("models") == [] and len(data) == 2:
        Lockfile.read(path)
    else:
        with pytest.raises(LockfileError):
            Lockfile.read(path)


def test_the_document_and_the_schema_have_the_same_fields(locked: Path) -> None:
    docs = Path(__file__).parents[3] / "docs"
    schema = json.loads((docs / "lockfile.schema.json").read_text())["$defs"]["model"]
    (model,) = json.loads(locked.read_text())["models"]
    assert set(schema["properties"]) == set(model)
    table = (docs / "lockfile.md").read_text()
    assert all(f"`{field}`" in table for field in model)


def test_a_name_of_the_catalog_cannot_be_locked_to_something_else(
    locked: Path, edited: Callable[..., Path], hub: LocalHub
) -> None:
    """Nor is a licence that is edited in believed of it."""
    hub.clear_log()
    for name in ("vitl", "v2-vitl"):
        with pytest.raises(LockfileError, match=r"has me/forest/forest.pth .* as v2-vitl, and the catalog depth-any"):
            from_pretrained(name, lockfile=edited(source="v2-vitl", name="v2-vitl", licence="apache-2.0"))
    assert hub.requests == []


@pytest.mark.parametrize("source", ["/etc/passwd", "./w.pth", "hf://me/other@main", f"hf://{REPO}@main/other.pth"])
def test_a_source_is_the_locked_file_and_none_of_this_machine(edited: Callable[..., Path], source: str) -> None:
    with pytest.raises(LockfileError, match="is not the repository, file and commit of its other facts"):
        Lockfile.read(edited(source=source))
