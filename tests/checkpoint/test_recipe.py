"""Equal recipes are equal text, since that text names entries."""

from __future__ import annotations

import json

import pytest

from depthhub.checkpoint.recipe import LAYOUT_VERSION, Recipe
from depthhub.model.config import Build


def test_equal_recipes_have_one_text() -> None:
    one, other = Recipe(Build("v2-metric", 20)), Recipe(Build("v2-metric", 20.0))
    assert one == other
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(Build("v1")),
        Recipe(Build("v2"), "float16"),
        Recipe(Build("v2-metric", 80.0, (0, 1, 2, 3)), "bfloat16"),
        Recipe(Build("v2"), "float32", LAYOUT_VERSION + 1),
    ],
    ids=str,
)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_everything_that_decides_the_result_is_in_the_text() -> None:
    recipes = [
        Recipe(Build("v1")),
        Recipe(Build("v2")),
        Recipe(Build("v2", taps=(0, 1, 2, 3))),
        Recipe(Build("v2-metric", 20)),
        Recipe(Build("v2-metric", 80)),
        Recipe(Build("v2"), "float16"),
        Recipe(Build("v2"), None, LAYOUT_VERSION + 1),
    ]
    assert len({json.dumps(recipe.to_json(), sort_keys=True) for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize("dtype", ["float64", "half", "", "torch.float16"])
def test_an_unknown_dtype_is_refused(dtype: str) -> None:
    with pytest.raises(ValueError, match="dtype"):
        Recipe(Build("v2"), dtype)  # type: ignore[arg-type]
