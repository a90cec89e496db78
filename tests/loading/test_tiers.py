"""A load in a cache of several tiers: those below are searched in order, and left as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from depthhub import CacheNotWritableError, from_pretrained, prewarm
from depthhub.testing import LocalHub

from ..cache.conftest import Mount
from ..cache.samples import tree_state
from .conftest import IsSound, flip
from .entries import entry_in, prewarmed, set_aside


@pytest.fixture
def lower(tiny: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a tier that has the entry, below the empty cache of the test."""
    root = tmp_path / "lower"
    prewarmed(tiny, cache_dir=root)
    monkeypatch.setenv("DEPTHHUB_CACHE", f"{cache}{os.pathsep}{root}")
    return root


def test_a_tier_below_serves_a_load_and_is_left_as_it_is(
    tiny: Path, lower: Path, cache: Path, is_sound: IsSound
) -> None:
    before = tree_state(lower)
    model = from_pretrained(tiny, family="v2", verify=True)
    assert model.provenance.path == entry_in(lower).weights
    assert is_sound(model)
    assert tree_state(lower) == before
    assert not list(cache.rglob("weights.safetensors"))


def test_a_tier_on_a_read_only_mount_serves_a_load(
    tiny: Path, mount: Mount, cache: Path, monkeypatch: pytest.MonkeyPatch, is_sound: IsSound
) -> None:
    image = mount("size=32m")
    prewarmed(tiny, cache_dir=image)
    subprocess.run(["mount", "-o", "remount,ro", str(image)], check=True)
    assert is_sound(from_pretrained(tiny, family="v2", cache_dir=f"{cache}{os.pathsep}{image}"))
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    assert is_sound(from_pretrained(tiny, family="v2", cache_dir=image))
    with pytest.raises(CacheNotWritableError, match=r"read-only.*DEPTHHUB_CACHE or cache_dir"):
        from_pretrained(tiny, family="v1", cache_dir=image)


def test_a_damaged_tier_below_is_passed_by_and_the_entry_is_made_above(
    tiny: Path, lower: Path, cache: Path, is_sound: IsSound
) -> None:
    flip(entry_in(lower).weights)
    before = tree_state(lower)
    model = from_pretrained(tiny, family="v2", verify=True)
    assert is_sound(model)
    assert model.provenance.path.is_relative_to(cache)
    assert tree_state(lower) == before
    assert from_pretrained(tiny, family="v2").provenance.path.is_relative_to(cache)


def test_a_damaged_entry_above_is_served_from_below(tiny: Path, lower: Path, cache: Path, is_sound: IsSound) -> None:
    sound, key = entry_in(lower), entry_in(lower).key
    shutil.copytree(sound.path, cache / "v1" / "entries" / key[:2] / key)
    flip(entry_in(cache).weights)
    model = from_pretrained(tiny, family="v2", verify=True)
    assert model.provenance.path == sound.weights
    assert is_sound(model)
    assert len(set_aside(cache)) == 1


def test_a_tier_that_is_cut_off_while_it_is_used_is_no_obstacle(tiny: Path, lower: Path, cache: Path) -> None:
    shutil.rmtree(lower)
    assert from_pretrained(tiny, family="v2").provenance.path.is_relative_to(cache)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_what_a_tier_below_remembers_of_the_hub_saves_the_question(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, cache: Path, is_sound: IsSound
) -> None:
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    prewarm(["owner/repo/tiny.pth"], family="v2", cache_dir=tmp_path / "image")
    local_hub.close()
    both = f"{cache}{os.pathsep}{tmp_path / 'image'}"
    assert is_sound(from_pretrained("owner/repo/tiny.pth", family="v2", cache_dir=both))
