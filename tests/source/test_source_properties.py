"""Properties of the grammar, over any text and over texts made of its own pieces."""

from __future__ import annotations

import contextlib
import ntpath
import os
import posixpath
from pathlib import Path

import pytest
from huggingface_hub.utils import HFValidationError, validate_repo_id
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from depthhub.errors import SourceError
from depthhub.hub_names import file_path_problem, repo_id_problem, revision_problem
from depthhub.source import CatalogName, HubFile, LocalFile, Source, parse

settings.register_profile("rooms", deadline=None, max_examples=300)
settings.load_profile("rooms")

ANY_TEXT = st.text(st.characters(exclude_categories=()))
PIECES = [
    *("hf://", "spaces/", "models/", "datasets/", "refs/", "pr/", "https://", "huggingface.co/", "resolve/"),
    *("/", "//", "@", ".", "..", "../", "~", "\\", "C:", "%2F", "%", " ", "-", "--", "\n", "\0", "\u202e", "\ud800"),
    *("owner", "repo", "vitl", "v1.0", "main", "3", "x.pth", ".safetensors", "nul", "é", "a/b", "a/b/c.pth"),
]
PIECED = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
TEXT = ANY_TEXT | PIECED
BEGINNING = st.sampled_from(
    ["", "./", "owner/", "owner/repo/", "owner/repo@", "hf://owner/repo/", "spaces/owner/repo/x/"]
)
NEAR = st.builds("{}{}".format, BEGINNING, TEXT)

WORD = st.text("abZ09_", min_size=1, max_size=6)
REPO_PART = st.builds("{}{}{}".format, WORD, st.sampled_from(["", "-", ".", "_", ".pth"]), WORD)
REPO_ID = st.builds("{}/{}".format, REPO_PART, REPO_PART).filter(
    lambda repo_id: repo_id.partition("/")[0] not in ("models", "datasets", "buckets", "kernels", "spaces")
)
COMPONENT = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=12)
FILE_PATH = (
    st.lists(COMPONENT, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda path: file_path_problem(path) is None and "@" not in path)
)
REVISION = st.one_of(
    st.text("0123456789abcdef", min_size=40, max_size=40),
    st.builds("{}{}{}".format, WORD, st.sampled_from(["/", "-", ".", "+", "/refs/pr/"]), WORD),
    st.integers(min_value=0).map("refs/pr/{}".format),
)


def sources_in(text: str) -> list[Source]:
    """What `text` means: nothing, or one source."""
    try:
        return [parse(text)]
    except SourceError:
        return []


@given(TEXT)
@example("~\udcff/x")
def test_any_text_is_a_source_or_a_source_error(text: str) -> None:
    with contextlib.suppress(SourceError):
        assert isinstance(parse(text), (CatalogName, HubFile, LocalFile))


@given(NEAR)
def test_what_a_source_says_of_itself_parses_back_to_it(text: str) -> None:
    for source in sources_in(text):
        assert parse(str(source)) == source
        assert str(parse(str(source))) == str(source)


@given(NEAR)
def test_no_accepted_hub_file_could_leave_a_directory_on_any_system(text: str) -> None:
    for source in sources_in(text):
        if isinstance(source, HubFile):
            for name in filter(None, (source.repo_id, source.filename, source.revision)):
                stays_below(name)


def stays_below(name: str) -> None:
    assert name.isprintable()
    for part in name.split("/"):
        assert part.strip(". ")  # not empty, no `.`, no `..`, nothing that Windows reads as either
    for system in (posixpath, ntpath):
        assert system.splitdrive(name)[0] == ""
        assert system.normpath(system.join("base", name)) == system.join("base", *name.split("/"))


@given(REPO_ID, st.none() | FILE_PATH, st.none() | REVISION, st.sampled_from(["model", "space"]))
def test_every_spelling_of_a_hub_file_means_the_same(
    repo_id: str, path: str | None, revision: str | None, repo_type: str
) -> None:
    source = HubFile(repo_id, path, revision, repo_type)  # type: ignore[arg-type]
    kind = "spaces/" if repo_type == "space" else ""
    plain = f"{kind}{repo_id}" + (f"/{path}" if path else "")
    assert parse(str(source)) == source
    assert parse(f"hf://{plain}", revision=revision) == source
    if revision is not None:
        assert parse(f"{plain}@{revision}") == source
        assert parse(f"{plain}@{revision}", revision=revision) == source


@pytest.mark.skipif(os.name == "nt", reason="a colon is a drive or a stream there")
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40))
def test_every_path_object_is_a_local_file_and_parses_back(text: str) -> None:
    source = parse(Path(text))
    assert source == LocalFile(Path(text))
    assert parse(str(source)) == source


@pytest.mark.skipif(os.name == "nt", reason="file names are not bytes there")
@given(st.binary(min_size=1, max_size=20))
def test_a_file_name_of_any_bytes_can_be_written(name: bytes) -> None:
    text = os.fsdecode(name)
    assume(not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text))
    assert parse(f"./{text}") == LocalFile(Path(f"./{text}"))


@given(st.text("abA0_-.", max_size=12), st.text("abA0_-.", max_size=100))
def test_repository_ids_are_those_of_the_hub(owner: str, name: str) -> None:
    repo_id = f"{owner}/{name}"
    try:
        validate_repo_id(repo_id)
        valid = True
    except HFValidationError:
        valid = False
    assert (repo_id_problem(repo_id) is None) == valid


@given(REVISION)
def test_commits_branches_tags_and_pull_requests_are_revisions(revision: str) -> None:
    assert revision_problem(revision) is None
