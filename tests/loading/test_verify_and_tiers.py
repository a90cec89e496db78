"""A load in a cache of several tiers: verified if asked, made again where it is damaged, kept while it is used."""

from __future__ import annotations

import copy
import gc
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from depthhub import (
    BrokenEntryError,
    CacheNotWritableError,
    DepthHubError,
    NoSpaceError,
    SettingsError,
    from_pretrained,
    prewarm,
)
from depthhub.depth_model import DepthModel
from depthhub.loading import ensure_entry
from depthhub.steps.build import build
from depthhub.steps.request import Request
from depthhub.testing import LocalHub, make_checkpoint, reference_image
from depthhub_cache.collection import Budget
from depthhub_cache.entry import Entry
from depthhub_cache.quarantine import all_set_aside, reason_of
from depthhub_cache.store import Store

from ..cache.children import in_a_child, needs_fork, together
from ..cache.conftest import Mount
from ..cache.samples import files_under
from ..catalogs import checkpoint, write_catalog
from .conftest import Python, flip, golden_difference

on_linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells from /proc what is mapped")


def prewarmed(tiny: Path, **options: object) -> Path:
    """The converted file of `tiny`."""
    [done] = prewarm([tiny], family="v2", **options)  # type: ignore[arg-type]
    return done.path


def set_aside(cache: Path) -> list[Path]:
    return list(all_set_aside(cache / "v1" / "quarantine"))


def entry_in(root: Path) -> Entry:
    [entry] = Store(root).entries()
    return entry


_WEIGHTS: dict[str, torch.Tensor] = {}


@pytest.fixture(autouse=True, scope="module")
def sound_weights(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those of `tiny` in a cache that nobody touches, once compared with the authors' output."""
    model = from_pretrained(tiny, family="v2", cache_dir=tmp_path_factory.mktemp("sound"))
    assert golden_difference(model, "v2-tiny") <= 1e-4
    _WEIGHTS.update({name: tensor.clone() for name, tensor in model.state_dict().items()})
    yield
    _WEIGHTS.clear()


def is_sound(model: DepthModel) -> bool:
    """Whether every number of the model is right."""
    found = model.state_dict()
    return list(found) == list(_WEIGHTS) and all(torch.equal(found[name], _WEIGHTS[name]) for name in found)


def tree_state(folder: Path) -> dict[str, tuple[int, ...]]:
    return {
        str(path.relative_to(folder)): (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        for path in (folder, *folder.rglob("*"))
        for state in [path.lstat()]
    }


# verify=True


@pytest.mark.parametrize("at", [-1, 200_000])
def test_a_verified_load_finds_a_flipped_bit_and_makes_the_entry_again(tiny: Path, cache: Path, at: int) -> None:
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
    local_hub: LocalHub, tiny: Path, cache: Path
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


def test_a_verified_load_that_cannot_set_aside_what_is_damaged_never_gives_it(tiny: Path, cache: Path) -> None:
    weights = prewarmed(tiny)
    flip(weights)
    (cache / "v1" / "quarantine").write_text("in the way")
    assert is_sound(from_pretrained(tiny, family="v2", verify=True))


@pytest.mark.parametrize("at", [20, 500])
def test_a_damaged_header_is_found_by_every_load(tiny: Path, cache: Path, at: int) -> None:
    weights = prewarmed(tiny)
    flip(weights, at=at)
    assert is_sound(from_pretrained(tiny, family="v2"))
    assert len(set_aside(cache)) == 1


# tiers


@pytest.fixture
def lower(tiny: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a tier that has the entry, below the empty cache of the test."""
    root = tmp_path / "lower"
    prewarmed(tiny, cache_dir=root)
    monkeypatch.setenv("DEPTHHUB_CACHE", f"{cache}{os.pathsep}{root}")
    return root


def test_a_tier_below_serves_a_load_and_is_left_as_it_is(tiny: Path, lower: Path, cache: Path) -> None:
    before = tree_state(lower)
    model = from_pretrained(tiny, family="v2", verify=True)
    assert model.provenance.path == entry_in(lower).weights
    assert is_sound(model)
    assert tree_state(lower) == before
    assert not list(cache.rglob("weights.safetensors"))


def test_a_tier_on_a_read_only_mount_serves_a_load(
    tiny: Path,
    mount: Mount,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = mount("size=32m")
    prewarmed(tiny, cache_dir=image)
    subprocess.run(["mount", "-o", "remount,ro", str(image)], check=True)
    assert is_sound(from_pretrained(tiny, family="v2", cache_dir=f"{cache}{os.pathsep}{image}"))
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    assert is_sound(from_pretrained(tiny, family="v2", cache_dir=image))
    with pytest.raises(CacheNotWritableError, match=r"read-only.*DEPTHHUB_CACHE or cache_dir"):
        from_pretrained(tiny, family="v1", cache_dir=image)


def test_a_damaged_tier_below_is_passed_by_and_the_entry_is_made_above(tiny: Path, lower: Path, cache: Path) -> None:
    flip(entry_in(lower).weights)
    before = tree_state(lower)
    model = from_pretrained(tiny, family="v2", verify=True)
    assert is_sound(model)
    assert model.provenance.path.is_relative_to(cache)
    assert tree_state(lower) == before
    assert from_pretrained(tiny, family="v2").provenance.path.is_relative_to(cache)


def test_a_damaged_entry_above_is_served_from_below(tiny: Path, lower: Path, cache: Path) -> None:
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
    local_hub: LocalHub, tiny: Path, tmp_path: Path, cache: Path
) -> None:
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    prewarm(["owner/repo/tiny.pth"], family="v2", cache_dir=tmp_path / "image")
    local_hub.close()
    both = f"{cache}{os.pathsep}{tmp_path / 'image'}"
    assert is_sound(from_pretrained("owner/repo/tiny.pth", family="v2", cache_dir=both))


# the standing budget


def set_last_use(cache: Path, moment: float) -> None:
    """Of the only entry."""
    entry = entry_in(cache)
    for path in (entry.path, cache / "v1" / "used" / entry.key):
        if path.exists():
            os.utime(path, (moment, moment))


def names_in(cache: Path) -> set[str]:
    return {str(entry.record.about["recipe"]["build"]["family"]) for entry in Store(cache).entries()}


def test_after_a_conversion_the_standing_budget_is_kept(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = prewarmed(tiny).stat().st_size
    set_last_use(cache, 1_000_000_000)
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", str(size * 3))
    prewarm([tiny], family="v1")
    assert names_in(cache) == {"v1", "v2"}
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", f"{size * 2.5:.0f}B")
    prewarm([tiny], family="v2-metric", max_depth=20)
    assert names_in(cache) == {"v1", "v2-metric"}


def test_what_was_not_used_for_long_goes_after_a_conversion(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prewarmed(tiny)
    set_last_use(cache, time.time() - 31 * 86_400)
    monkeypatch.setenv("DEPTHHUB_MAX_AGE", "30d")
    prewarm([tiny], family="v1")
    assert names_in(cache) == {"v1"}


def test_a_budget_too_small_for_one_model_keeps_what_was_just_made(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", "0")
    first = from_pretrained(tiny, family="v2")
    assert names_in(cache) == {"v2"}
    from_pretrained(tiny, family="v1")
    assert names_in(cache) == {"v1", "v2"}, "a living model keeps its entry"
    del first
    gc.collect()
    prewarm([tiny], family="v2-metric", max_depth=20)
    assert names_in(cache) == {"v2-metric"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("DEPTHHUB_MAX_SIZE", "much"), ("DEPTHHUB_MAX_AGE", "90"), ("DEPTHHUB_MAP_WEIGHTS", "perhaps")],
)
def test_a_setting_that_cannot_be_is_an_error_that_names_it(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: '{value}' is n"):
        from_pretrained(tiny, family="v2")
    assert not cache.exists()


# mapped or read


def depth_of(model: DepthModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.from_numpy(reference_image(28, 42)))


def is_mapped(weights: Path) -> bool:
    return str(weights) in Path("/proc/self/maps").read_text()


@on_linux
def test_weights_are_mapped_or_read_as_the_setting_says_and_the_depth_is_the_same(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = prewarmed(tiny)
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    read = from_pretrained(tiny, family="v2")
    assert not is_mapped(weights)
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "1")
    mapped = from_pretrained(tiny, family="v2")
    assert is_mapped(weights)
    assert torch.equal(depth_of(read), depth_of(mapped))
    assert is_sound(read)
    states = read.state_dict(), mapped.state_dict()
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
        assert (tensor.dtype, tensor.shape, tensor.stride()) == (
            states[1][name].dtype,
            states[1][name].shape,
            states[1][name].stride(),
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_read_like_it_is_mapped(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    models = []
    for setting in ("0", "1"):
        monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", setting)
        models.append(from_pretrained(tiny, family="v2", dtype=dtype))
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert ours.dtype == theirs.dtype == getattr(torch, dtype)
        assert torch.equal(ours, theirs)


def test_what_was_read_is_ones_own(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that happens to the file reaches the model, and nothing that is done to the model the file."""
    weights = prewarmed(tiny)
    before = weights.read_bytes()
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    model = from_pretrained(tiny, family="v2")
    depth = depth_of(model)
    with torch.no_grad():
        for parameter in copy.deepcopy(model).parameters():
            parameter.zero_()
    with weights.open("r+b") as file:
        file.truncate(100)
    assert torch.equal(depth_of(model), depth)
    weights.write_bytes(before)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    assert weights.read_bytes() == before


def test_a_file_that_was_cut_is_found_when_it_is_read_too(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    weights = prewarmed(tiny)
    weights.write_bytes(weights.read_bytes()[:-1])
    assert is_sound(from_pretrained(tiny, family="v2"))


# leases


def leases_in(cache: Path) -> list[Path]:
    return sorted((cache / "v1" / "leases").glob("*"))


@pytest.mark.parametrize("mapped", ["0", "1"])
def test_an_entry_is_leased_while_a_model_of_it_lives(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, mapped: str
) -> None:
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", mapped)
    one, two = (from_pretrained(tiny, family="v2") for _ in range(2))
    assert len(leases_in(cache)) == 2
    del one
    gc.collect()
    assert len(leases_in(cache)) == 1
    [spared] = Store(cache).collect(Budget(max_size=0)).spared
    assert spared.why.startswith(f"in use by process {os.getpid()} ")
    assert is_sound(two)
    del two
    gc.collect()
    assert leases_in(cache) == []
    assert len(Store(cache).collect(Budget(max_size=0)).freed) == 1


def test_a_lease_ends_with_a_load_that_fails(tiny: Path, cache: Path) -> None:
    prewarmed(tiny)
    with pytest.raises(DepthHubError):
        from_pretrained(tiny, family="v2", device="no such device")
    prewarm([tiny], family="v1")
    assert leases_in(cache) == []


def test_a_lease_ends_with_the_process_and_not_with_a_forked_child_of_it(
    tiny: Path, cache: Path, python: Python
) -> None:
    prewarmed(tiny)
    code = """
import os, sys
from pathlib import Path
import depthhub
model = depthhub.from_pretrained(sys.argv[1], family="v2")
leases = Path(sys.argv[2], "v1", "leases")
if not os.fork():
    sys.exit()  # as a program ends, with all that is registered for the end
os.wait()
print(len(list(leases.iterdir())))
"""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    assert python(code, str(tiny), str(cache)).stdout.strip() == "1"
    assert leases_in(cache) == []


def test_a_load_marks_the_entry_as_used_now(tiny: Path, cache: Path) -> None:
    prewarmed(tiny)
    from_pretrained(tiny, family="v2")
    used = cache / "v1" / "used" / entry_in(cache).key
    os.utime(used, (0, 0))
    from_pretrained(tiny, family="v2")
    assert abs(used.stat().st_mtime - time.time()) < 60


@needs_fork
@pytest.mark.skipif(sys.platform == "win32", reason="what is mapped cannot be removed there")
def test_no_load_fails_and_none_is_wrong_while_others_collect_all_there_is(tiny: Path, cache: Path) -> None:
    """A collection may come between a load's look at the entry and its lease, and when it opens the file."""
    prewarmed(tiny)
    end = time.monotonic() + 3.0

    def loads() -> None:
        torch.set_num_threads(1)  # a forked process has only this one
        rounds = 0
        while time.monotonic() < end:
            assert is_sound(from_pretrained(tiny, family="v2"))
            gc.collect()
            time.sleep(0.1)  # for there must be moments when nobody has it open
            rounds += 1
        assert rounds > 0

    def collects() -> None:
        store = Store(cache)
        while time.monotonic() < end:
            if store.collect(Budget(max_size=0)).freed:
                (cache / "freed").touch()

    assert together(loads, loads, loads, collects, collects, collects) == [0] * 6
    assert (cache / "freed").exists()
    assert [reason_of(place) for place in set_aside(cache)] == [], "nothing was damaged"


# room


@pytest.fixture
def small(
    mount: Mount,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    root = mount("size=6m")
    monkeypatch.setenv("DEPTHHUB_CACHE", str(root / "cache"))
    return root


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("kind", ["pinned", "asked"])
def test_where_there_is_no_room_not_a_byte_is_downloaded(
    local_hub: LocalHub, tiny: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    size = tiny.stat().st_size
    commit = local_hub.add_file("owner/repo", "tiny.pth", tiny)
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entry = checkpoint("small", repo_id="owner/repo", filename="tiny.pth", revision=commit, sha256=digest, size=size)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    free = shutil.disk_usage(small).free
    with pytest.raises(NoSpaceError) as caught:
        from_pretrained("small" if kind == "pinned" else "owner/repo/tiny.pth", family="v2")
    error = caught.value
    assert size < error.needed < 3 * size
    assert free - 100_000 < error.free <= free
    assert error.missing == error.needed - error.free
    for number in (error.needed, error.free, error.missing):
        assert f"{number:,}" in str(error)
    assert [request.path for request in local_hub.requests if request.host == "cdn"] == []
    assert [request.path for request in local_hub.requests if "/resolve/" in request.path] == []
    assert files_under(small / "cache" / "v1" / "tmp") == {}


def test_where_there_is_no_room_nothing_is_converted(tiny: Path, small: Path) -> None:
    with pytest.raises(NoSpaceError) as caught:
        from_pretrained(tiny, family="v2")
    assert caught.value.needed > 8_000_000
    assert files_under(small / "cache" / "v1" / "entries") == {}
    assert files_under(small / "cache" / "v1" / "tmp") == {}


def test_when_there_is_room_again_it_succeeds(tiny: Path, mount: Mount, cache: Path) -> None:
    root = mount("size=10m")
    ballast = root / "ballast"
    ballast.write_bytes(bytes(5_000_000))
    with pytest.raises(NoSpaceError, match="A collection would free nothing"):
        from_pretrained(tiny, family="v2", cache_dir=root / "cache")
    ballast.unlink()
    assert is_sound(from_pretrained(tiny, family="v2", cache_dir=root / "cache"))


def test_the_error_says_what_a_collection_would_free_and_then_there_is_room(
    tiny: Path,
    mount: Mount,
    cache: Path,
) -> None:
    root = mount("size=10m")
    prewarmed(tiny, cache_dir=root)
    with pytest.raises(NoSpaceError, match=r"cache gc --max-size (\d+)MB") as caught:
        from_pretrained(tiny, family="v1", cache_dir=root)
    assert caught.value.reclaimable > 8_000_000
    advised = re.search(r"--max-size (\d+)MB", str(caught.value))
    assert advised
    assert Store(root).collect(Budget(max_size=int(advised[1]) * 10**6)).freed_bytes >= caught.value.needed - (
        caught.value.free or 0
    )
    from_pretrained(tiny, family="v1", cache_dir=root)


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a cache of another user")
def test_a_cache_that_another_user_has_closed_is_one_clear_error(
    tiny: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_CACHE", str(open_folder / "cache"))
    weights = prewarmed(tiny)
    make_checkpoint(open_folder / "open.pth", encoder="tiny").chmod(0o644)
    weights.parent.chmod(0o700)

    def load() -> str:
        try:
            prewarm([open_folder / "open.pth"], family="v2")
        except DepthHubError as error:
            return str(error)
        return "loaded"

    said = in_a_child(load, as_nobody=True)
    assert "cannot be read: Permission denied. Ask its owner for permission" in said


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


def test_what_one_call_asks_for_is_there_when_it_ends_whatever_the_budget(
    tiny: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [make_checkpoint(tmp_path / f"{seed}.pth", encoder="tiny", seed=seed) for seed in (1, 2)]
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", "1MB")
    assert all(done.path.exists() for done in prewarm([tiny, *others], family="v2"))
    prewarm([tiny], family="v1")
    assert len(list(Store(cache).entries())) == 1
