"""What a load with `verify=True` has read is what it gives; what is damaged is set aside, and made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from depthhub import BrokenEntryError, DepthHubError, from_pretrained, prewarm
from depthhub.loading import ensure_entry
from depthhub.steps.build import build
from depthhub.steps.request import Request
from depthhub.testing import LocalHub
from depthhub_cache.entry import Entry
from depthhub_cache.quarantine import reason_of
from depthhub_cache.store import Store

from ..cache.samples import files_under
from .conftest import IsSound, flip
from .entries import entry_in, prewarmed, set_aside


@pytest.mark.parametrize("at", [-1, 200_000])
def test_a_verified_load_finds_a_flipped_bit_and_makes_the_entry_again(
    tiny: Path, cache: Path, at: int, is_sound: IsSound
) -> None:
    weights = prewarmed(tiny)
    sound = weights.read_bytes()
    flip(weights, at=at)
    damaged = weights.read_bytes()
    assert is_sound(from_pretrained(tiny, family="v2", verify=True))
    assert weights.read_bytes() == sound
    [place] = set_aside(cache)
    assert (place / "weights.safetensors").read_bytes() == damaged
    assert "has sha256" in reason_of(place)
    assert is_sound(from_pretrained(tiny, family="v2"))
    assert files_under(cache / "v1" / "tmp") == {}


def test_without_it_a_load_reads_no_number_and_so_finds_no_flipped_one(tiny: Path, cache: Path) -> None:
    weights = prewarmed(tiny)
    flip(weights)
    from_pretrained(tiny, family="v2")
    assert set_aside(cache) == []


def test_a_verified_load_of_a_sound_entry_changes_nothing_and_says_what_it_does(tiny: Path, cache: Path) -> None:
    weights = prewarmed(tiny)
    inode, told = weights.stat().st_ino, []
    from_pretrained(tiny, family="v2", verify=True, progress=lambda progress: told.append(progress.stage))
    assert "verifying" in told
    assert weights.stat().st_ino == inode
    assert set_aside(cache) == []


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_an_entry_that_only_a_download_leads_to_is_found_then_and_made_again_if_it_is_damaged(
    local_hub: LocalHub, tiny: Path, cache: Path, is_sound: IsSound
) -> None:
    """The Hub tells no sha256 of what is not in LFS; the same file is in the cache under another name."""
    for name in ("one", "two", "three"):
        local_hub.add_file(f"me/{name}", "w.pth", tiny, lfs=False)
    [made] = prewarm(["me/one/w.pth"], family="v2")
    told: list[str] = []
    [found] = prewarm(["me/two/w.pth"], family="v2", progress=lambda progress: told.append(progress.stage))
    assert (found.path, found.cached) == (made.path, True)
    assert "downloading" in told
    assert "converting" not in told
    flip(made.path)
    assert is_sound(from_pretrained("me/three/w.pth", family="v2", verify=True))
    assert len(set_aside(cache)) == 1


def test_prewarming_can_verify_too(tiny: Path, cache: Path) -> None:
    weights = prewarmed(tiny)
    sound = weights.read_bytes()
    flip(weights)
    [done] = prewarm([tiny], family="v2")
    assert done.cached
    [done] = prewarm([tiny], family="v2", verify=True)
    assert not done.cached
    assert done.path.read_bytes() == sound
    assert len(set_aside(cache)) == 1
    [done] = prewarm([tiny], family="v2", verify=True)
    assert done.cached


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_what_cannot_be_made_again_is_an_error_and_never_the_damaged_one(
    local_hub: LocalHub, tiny: Path, cache: Path
) -> None:
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    from_pretrained("owner/repo/tiny.pth", family="v2")
    flip(entry_in(cache).weights)
    local_hub.close()
    for _ in range(2):
        with pytest.raises(DepthHubError):
            from_pretrained("owner/repo/tiny.pth", family="v2", offline=True, verify=True)
    assert len(set_aside(cache)) == 1


def test_a_verified_load_that_cannot_set_aside_what_is_damaged_never_gives_it(
    tiny: Path, cache: Path, is_sound: IsSound
) -> None:
    weights = prewarmed(tiny)
    flip(weights)
    (cache / "v1" / "quarantine").write_text("in the way")
    assert is_sound(from_pretrained(tiny, family="v2", verify=True))


@pytest.mark.parametrize("at", [20, 500])
def test_a_damaged_header_is_found_by_every_load(tiny: Path, cache: Path, at: int, is_sound: IsSound) -> None:
    weights = prewarmed(tiny)
    flip(weights, at=at)
    assert is_sound(from_pretrained(tiny, family="v2"))
    assert len(set_aside(cache)) == 1


def test_an_entry_that_another_one_replaces_before_it_is_opened_is_not_taken_for_it(tiny: Path, cache: Path) -> None:
    """Not even one with the same key, whose own digests are right."""
    prewarmed(tiny)
    request = Request.parse(tiny, family="v2", verify=True)
    store = request.settings.open_store()
    entry, located, lease, _ = ensure_entry(request, store)
    other = bytearray(entry.weights.read_bytes())
    other[-1000:] = bytes(1000)
    with lease, Store(cache.with_name("other")).stage() as staging:
        with staging.file("weights.safetensors") as file:
            file.write(other)
        swapped = Store(cache.with_name("other")).publish(entry.key, staging, about=dict(entry.record.about))
        entry.path.rename(cache / "before")
        swapped.path.rename(entry.path)
        with pytest.raises(BrokenEntryError, match="took its place"):
            build(entry, located, request, "cpu", mapped=True)


def test_weights_that_take_the_place_of_others_before_they_are_opened_are_not_taken_for_them(
    tiny: Path, cache: Path
) -> None:
    """As rsync puts them: one file of an entry renamed over another, with the same size and the same header."""
    prewarmed(tiny)
    request = Request.parse(tiny, family="v2", verify=True)
    entry, located, lease, _ = ensure_entry(request, request.settings.open_store())
    other = entry.weights.with_name("other")
    shutil.copy(entry.weights, other)
    flip(other)
    with lease:
        other.replace(entry.weights)
        with pytest.raises(BrokenEntryError, match="took its place"):
            build(entry, located, request, "cpu", mapped=True)


def test_a_damaged_entry_that_comes_back_after_another_was_verified_is_not_loaded(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection takes it away; another process makes it anew; that is verified, and removed; it is given back."""
    root, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    [sound] = prewarm([tiny], family="v2", cache_dir=elsewhere)
    right = from_pretrained(tiny, family="v2", cache_dir=elsewhere)
    [made] = prewarm([tiny], family="v2", cache_dir=root)
    data = bytearray(made.path.read_bytes())
    data[-5] ^= 64
    made.path.write_bytes(data)
    verify, times = Store.verify, list[int]()

    def meanwhile(store: Store, entry: Entry, *, deep: bool) -> None:
        times.append(len(times))
        if times[1:]:
            return verify(store, entry, deep=deep)
        entry.path.rename(tmp_path / "taken")
        shutil.copytree(sound.path.parent, entry.path)
        try:
            return verify(store, entry, deep=deep)
        finally:
            shutil.rmtree(entry.path)
            (tmp_path / "taken").rename(entry.path)

    monkeypatch.setattr(Store, "verify", meanwhile)
    model = from_pretrained(tiny, family="v2", cache_dir=root, verify=True)
    assert len(times) > 0
    assert all(torch.equal(found, right.state_dict()[name]) for name, found in model.state_dict().items())
