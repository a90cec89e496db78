"""The recipes of docs/deploy.md, in a world of their own: a Hub, a wheel, a base image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

if str(SCRIPTS) not in sys.path:  # where scripts/try-recipes finds the package
    sys.path.insert(0, str(SCRIPTS))

if sys.platform != "linux":  # the document is for Linux: bash, coreutils, namespaces
    collect_ignore_glob = ["test_*"]

if TYPE_CHECKING:
    from recipes.walk import Walk


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """One world for all tests of this folder: what one of them types, the next ones find."""
    from recipes.walk import Walk

    with Walk(tmp_path_factory.mktemp("recipes")) as world:
        yield world


@pytest.fixture
def containers() -> None:
    """For tests that cannot do without."""
    from recipes.container import why_no_containers

    if reason := why_no_containers():
        pytest.skip(f"no containers here: {reason}")


@pytest.fixture(scope="session")
def builder(walk: Walk) -> str:
    """A machine that has the recipe's application, locked, in `app`."""
    from typing_commands import type_on

    lock = "depthhub lock vits v2-metric-hypersim-vits -o app/depthhub.lock"
    typed = type_on(walk, "builder", "cp -r docs/deploy/image app", lock)
    assert typed.code == 0, typed.said
    return "builder"


@pytest.fixture(scope="session")
def baked(walk: Walk, builder: str) -> str:
    """The tag of the recipe's image, built with a token."""
    from typing_commands import TOKEN, type_on

    from recipes.container import why_no_containers

    if reason := why_no_containers():
        pytest.skip(f"no containers here: {reason}")
    walk.hub.tokens.add(TOKEN)
    build = "docker build --secret id=hf_token,env=HF_TOKEN --build-arg HF_ENDPOINT -t baked app"
    typed = type_on(walk, builder, f"HF_TOKEN={TOKEN} {build}")
    assert typed.code == 0, typed.said
    return "baked"
