"""Finding an entry: by name, alias, near miss, file, repository, digest and pattern."""

from __future__ import annotations

import subprocess
import sys

import pytest

from depthhub.catalog import BUILT_IN, Catalog, list_models
from depthhub.errors import UnknownModelError, UnsupportedModelError
from depthhub.model.config import Build


@pytest.fixture
def catalog() -> Catalog:
    return Catalog.load()


def test_the_built_in_catalog_keeps_its_schema(catalog: Catalog) -> None:
    """It is not held against it at every start, so here."""
    strict = Catalog.load(BUILT_IN)
    assert list(strict) == list(catalog)
    assert strict.aliases == catalog.aliases


def test_the_built_in_catalog_is_read_once(catalog: Catalog) -> None:
    assert Catalog.load() is catalog


def test_an_entry_cannot_be_changed(catalog: Catalog) -> None:
    entry = catalog.find("v2-vits")
    with pytest.raises(AttributeError):
        entry.sha256 = None  # type: ignore[misc]


def test_every_entry_is_found_by_its_name_and_its_file(catalog: Catalog) -> None:
    for entry in catalog:
        assert catalog.find(entry.name) is entry
        assert catalog.by_file(entry.repo_id, entry.repo_type, entry.filename) is entry
        assert entry in catalog.by_repo(entry.repo_id, entry.repo_type)


@pytest.mark.parametrize("encoder", ["vits", "vitb", "vitl"])
def test_a_bare_encoder_means_v2(catalog: Catalog, encoder: str) -> None:
    assert catalog.find(encoder) is catalog.find(f"v2-{encoder}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("VITL", "vitl"),
        ("vit-l", "vitl"),
        ("vitl14", "vitl"),
        ("large", "vitl"),
        ("v2_vitl", "v2-vitl"),
        ("v2-large", "v2-vitl"),
        ("v2-giant", "v2-vitg"),
        ("depth-anything-v2-large", "v2-vitl"),
        ("depth_anything_v2_vitl", "v2-vitl"),
        ("Depth-Anything-V2-Large-hf", "v2-vitl-hf"),
        ("depth-anything-v2-metric-hypersim-large", "v2-metric-hypersim-vitl"),
        ("v2-metric-hypersim-vitL", "v2-metric-hypersim-vitl"),
        ("distill-any-depth-large", "distill-vitl"),
        ("depth_anything_vitb14", "v1-vitb"),
        ("v1-metric-indor", "v1-metric-indoor"),
        ("promptda", "promptda-vits"),
        ("ac", "ac-vits"),
    ],
)
def test_a_near_miss_is_told_what_is_meant(catalog: Catalog, written: str, meant: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        catalog.find(written)
    assert caught.value.name == written
    assert caught.value.suggestions[0] == meant
    assert f"Did you mean '{meant}'" in str(caught.value)


def test_the_message_says_what_else_can_be_written(catalog: Catalog) -> None:
    with pytest.raises(UnknownModelError) as caught:
        catalog.find("vitx")
    assert set(caught.value.suggestions) == {"vits", "vitb", "vitl"}
    assert str(caught.value) == (
        "Unknown model 'vitx'. Did you mean 'vits', 'vitl' or 'vitb'? "
        "`depthhub list` shows all names; a file is written ./vitx, a Hub repository owner/name."
    )


@pytest.mark.parametrize("name", ["zzzzzz", "---", "", "model"])
def test_what_is_near_nothing_gets_no_suggestion(catalog: Catalog, name: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        catalog.find(name)
    assert caught.value.suggestions == ()
    assert "Did you mean" not in str(caught.value)


def test_a_suggestion_can_be_followed(catalog: Catalog) -> None:
    for entry in catalog:
        with pytest.raises(UnknownModelError) as caught:
            catalog.find(entry.name.upper())
        assert entry.name in caught.value.suggestions
        for suggestion in caught.value.suggestions:
            catalog.find(suggestion)


def test_a_supported_entry_says_how_to_build_it(catalog: Catalog) -> None:
    assert catalog.find("v2-metric-vkitti-vitb").require_supported() == Build("v2-metric", 80.0)
    assert catalog.find("v1-vitl").require_supported() == Build("v1")


def test_a_known_name_that_cannot_be_served_says_why_in_one_sentence(catalog: Catalog) -> None:
    entry = catalog.find("v2-vitg")
    with pytest.raises(UnsupportedModelError) as caught:
        entry.require_supported()
    assert (caught.value.name, caught.value.reason) == ("v2-vitg", entry.unsupported)
    assert "v2-vitg is known, but cannot be loaded. " in str(caught.value)
    assert "never officially released" in str(caught.value)


def test_a_pinned_digest_leads_to_its_one_entry(catalog: Catalog) -> None:
    for entry in catalog:
        if entry.sha256 is not None:
            assert catalog.by_sha256(entry.sha256) is entry
    assert catalog.by_sha256("0" * 64) is None


def test_a_hinted_digest_is_found_only_by_who_asks_for_hints(catalog: Catalog) -> None:
    entry = catalog.find("ac-vits")
    assert entry.sha256_hint is not None
    assert catalog.by_sha256(entry.sha256_hint) is None
    assert catalog.by_sha256(entry.sha256_hint, hints=True) is entry


def test_a_pin_goes_before_a_hint_of_the_same_digest(catalog: Catalog) -> None:
    giant, hinted = catalog.find("da3-giant"), catalog.find("da3-giant-1.1")
    assert giant.sha256 is not None
    assert giant.sha256 == hinted.sha256_hint
    assert catalog.by_sha256(giant.sha256, hints=True) is giant


def test_a_space_and_a_model_repository_are_not_mixed_up(catalog: Catalog) -> None:
    assert [entry.name for entry in catalog.by_repo("LiheYoung/Depth-Anything", "space")] == [
        *("v1-vits", "v1-vitb", "v1-vitl", "v1-metric-indoor", "v1-metric-outdoor")
    ]
    assert catalog.by_repo("LiheYoung/Depth-Anything", "model") == ()
    assert catalog.by_file("LiheYoung/Depth-Anything", "model", "checkpoints/depth_anything_vits14.pth") is None


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("v2-vit?", ["v2-vits", "v2-vitb", "v2-vitl", "v2-vitg"]),
        ("v1-vit[sb]", ["v1-vits", "v1-vitb"]),
        ("vitl", ["v2-vitl"]),
        ("V2-vits", []),
        ("nothing*", []),
    ],
)
def test_shell_patterns_find_names_and_aliases(catalog: Catalog, pattern: str, names: list[str]) -> None:
    assert [entry.name for entry in catalog.search(pattern)] == names


def test_list_models_names_what_can_be_loaded(catalog: Catalog) -> None:
    assert list_models() == tuple(entry.name for entry in catalog if entry.build is not None)
    assert list_models("v2-vit?") == ("v2-vits", "v2-vitb", "v2-vitl")
    assert list_models("vda-*") == ()


def test_catalog_and_sources_are_cheap_to_import() -> None:
    code = (
        "import sys; from depthhub.catalog import BUILT_IN, Catalog; import depthhub.source;"
        "Catalog.load().find('vitl'); depthhub.source.parse('vitl');"
        "print([m for m in ('torch', 'huggingface_hub', 'numpy', 'difflib', 'importlib.resources', 'filelock')"
        " if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
