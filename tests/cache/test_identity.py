"""Keys: equal recipes, equal keys; different ones, different keys; on every machine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache.identity import ContentHash, is_file_name, is_sha256, make_key

HASH = ContentHash("0123456789abcdef" * 4)
_VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
_RECIPES = st.dictionaries(st.text(), _VALUES | st.dictionaries(st.text(), _VALUES, max_size=3), max_size=5)


def test_a_key_is_the_same_for_ever() -> None:
    recipe = {"layout_version": 1, "dtype": None, "build": {"family": "v2-metric", "max_depth": 20.0}}
    assert make_key(HASH, recipe) == "744ce5f5b8a50d275abab4d4aafa9ddab8f6341138b2c7cd950be1d9013d8191"


@settings(deadline=None, max_examples=50)
@given(_RECIPES)
def test_the_order_of_a_recipe_does_not_matter(recipe: dict[str, object]) -> None:
    backwards = dict(reversed(list(recipe.items())))
    assert make_key(HASH, recipe) == make_key(HASH, backwards)
    assert is_sha256(make_key(HASH, recipe))


@settings(deadline=None, max_examples=50)
@given(_RECIPES, st.text(), _VALUES)
def test_another_recipe_or_file_has_another_key(recipe: dict[str, object], name: str, value: object) -> None:
    assert make_key(HASH, recipe) != make_key(ContentHash("f" * 64), recipe)
    other = {**recipe, name: value}
    if repr(sorted(other.items(), key=repr)) != repr(sorted(recipe.items(), key=repr)):
        assert make_key(HASH, recipe) != make_key(HASH, other)


@pytest.mark.parametrize("text", ["", "A" * 64, "g" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", None, 3])
def test_only_64_lower_case_hex_digits_are_a_sha256(text: object) -> None:
    assert not is_sha256(text)
    with pytest.raises(ValueError, match="not a sha256"):
        make_key(text, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", [{"a": object()}, {"a": float("nan")}, {"a": {1}}])
def test_a_recipe_is_plain_json(recipe: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        make_key(HASH, recipe)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "...", " ", "a/b", "/a", "a\\b", "C:a", "a\0", "a\n", "a*", "x" * 256, None, b"a"]
)
def test_what_could_leave_a_folder_on_any_platform_is_not_a_file_name(name: object) -> None:
    assert not is_file_name(name)


@pytest.mark.parametrize("name", ["weights.safetensors", ".part", "a b", "ü.pth", "depth_anything_v2_vits.pth"])
def test_plain_names_are_file_names(name: str) -> None:
    assert is_file_name(name)
