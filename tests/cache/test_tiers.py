"""The first tier that has it gives it; what is broken or hidden is passed by."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs  # noqa: F401  before a user is no longer root, who alone may be able to read it
import pytest

from depthhub_cache import disk
from depthhub_cache.collection import Budget
from depthhub_cache.errors import BrokenEntryError, CacheError, CacheNotWritableError
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from .children import in_a_child, needs_fork
from .conftest import Mount
from .samples import hash_of, key_of, publish, tree_state
from .tiers import KEY, fill


def maker_of(store: Store, name: str = "vits") -> object:
    entry = store.get(key_of(name))
    return None if entry is None else entry.record.about["maker"]


def remount_read_only(root: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)


@pytest.fixture
def three(tmp_path: Path) -> Store:
    """An empty cache of one's own above `one`, which has vits and vitb, and `two`, which has vitb and vitl."""
    fill(tmp_path / "one", "vits", "vitb")
    fill(tmp_path / "two", "vitb", "vitl")
    return Store(tmp_path / "own", below=[tmp_path / "one", tmp_path / "two"])


def test_the_first_that_has_it_gives_it(three: Store) -> None:
    assert [maker_of(three, name) for name in ("vits", "vitb", "vitl", "vitg")] == ["one", "one", "two", None]
    publish(three, "vitb", maker="own")
    assert maker_of(three, "vitb") == "own"
    turned = Store(three.root, below=[tier.root for tier in three.tiers[:0:-1]])
    assert [maker_of(turned, name) for name in ("vits", "vitb", "vitl")] == ["one", "own", "two"]
    assert three.root == three.tiers[0].root


def test_all_of_them_are_listed_each_once(three: Store) -> None:
    publish(three, "vitb", maker="own")
    assert list(three.keys()) == sorted(map(key_of, ("vits", "vitb", "vitl")))
    assert {entry.key: entry.record.about["maker"] for entry in three.entries()} == {
        key_of("vits"): "one",
        key_of("vitb"): "own",
        key_of("vitl"): "two",
    }
    three.remember("vitb", {"of": "own"})
    assert dict(three.refs()) == {"vits": {"of": "one"}, "vitb": {"of": "own"}, "vitl": {"of": "two"}}


def test_an_answer_is_forgotten_in_one_step_or_stays(three: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never is the one of a tier below seen in its place."""
    three.remember("vits", {"of": "own"})

    def full(*_: object) -> None:
        assert three.recall("vits") == {"of": "own"}
        raise CacheNotWritableError("no room", path=three.root)

    with monkeypatch.context() as patched:
        patched.setattr(disk, "put", full)
        with pytest.raises(CacheNotWritableError):
            three.forget("vits")
    assert three.recall("vits") == {"of": "own"}
    three.forget("vits")
    assert not three.recall("vits")


def test_refs_and_kept_originals_come_from_below_too(three: Store) -> None:
    assert [three.recall(name) for name in ("vitb", "vitl", "vitg")] == [{"of": "one"}, {"of": "two"}, None]
    kept = three.kept(hash_of(b"vitb"))
    assert kept is not None
    assert kept.is_relative_to(three.tiers[1].root)
    assert [three.kept(hash_of(b"vitl"))] == three.tiers[2].kept(hash_of(b"vitl"))
    assert list(three.kept_checkpoints()) == []


def test_what_is_made_goes_into_ones_own(three: Store) -> None:
    below = [tree_state(tier.root) for tier in three.tiers[1:]]
    entry = publish(three, "vitg", maker="own")
    assert entry.path.is_relative_to(three.root)
    three.remember("vits", {"of": "own"})
    assert three.recall("vits") == {"of": "own"}
    assert [tree_state(tier.root) for tier in three.tiers[1:]] == below


def test_an_answer_from_below_can_be_forgotten(three: Store) -> None:
    three.remember("vits", {"of": "own"})
    three.forget("vits")
    assert not three.recall("vits")
    three.forget("nobody knows")
    assert three.recall("nobody knows") is None
    assert Store(three.tiers[1].root).recall("vits") == {"of": "one"}


@pytest.mark.parametrize("damage", ["cut", "no record", "no weights", "record", "header", "a file"])
def test_what_is_broken_above_is_given_from_below(three: Store, damage: str) -> None:
    entry = publish(three, "vits", maker="own")
    record = entry.path / "entry.json"
    whole = entry.weights.read_bytes()
    if damage == "cut":
        entry.weights.write_bytes(b"cut")
    elif damage == "no record":
        record.unlink()
    elif damage == "no weights":
        entry.weights.unlink()
    elif damage == "record":
        record.write_text(record.read_text().replace("own", "one"))
    elif damage == "header":
        entry.weights.write_bytes(whole[:10] + bytes([whole[10] ^ 1]) + whole[11:])
    else:
        shutil.rmtree(entry.path)
        entry.path.write_text("a file")
    assert maker_of(three) == "one"
    assert [entry.record.about["maker"] for entry in three.entries() if entry.key == KEY] == ["one"]
    given = three.get(KEY)
    assert given is not None
    three.verify(given, deep=True)
    with pytest.raises(BrokenEntryError):
        three.verify(KEY, deep=True)


def test_a_damaged_ref_above_is_no_answer_whatever_an_older_one_below_says(three: Store) -> None:
    three.remember("vits", {"of": "own"})
    path = ref_path(three.root / "v1" / "refs", "vits")
    path.write_bytes(b"{")
    assert three.recall("vits") is None
    assert three.quarantine(path, "it is damaged") is not None
    assert not three.recall("vits")


@pytest.mark.parametrize("hidden", ["all of it", "v1/refs", "a shelf of it"])
def test_a_hidden_ref_above_is_no_answer_and_a_hidden_tier_is_passed_by(
    three: Store, hide: Callable[[Path], None], hidden: str
) -> None:
    refs = three.root / "v1" / "refs"
    shelf = ref_path(refs, "vits").parent
    folder = {"all of it": three.root, "v1/refs": refs, "a shelf of it": shelf}[hidden]
    shelf.mkdir(parents=True, exist_ok=True)
    hide(folder)
    assert three.recall("vits") == ({"of": "one"} if hidden == "all of it" else None)


def test_a_memory_below_that_is_hidden_is_passed_by_with_a_warning(
    three: Store, hide: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    refs = three.tiers[1].folder("refs")
    hide(refs)
    assert three.recall("vitg") is None
    assert caplog.messages == []
    assert three.recall("vitl") == {"of": "two"}
    assert f"{refs} cannot be read; what the caches after it remember counts instead" in caplog.text


def test_what_is_broken_below_is_passed_by_and_made_in_ones_own(three: Store) -> None:
    broken = three.tiers[1].get(key_of("vitb"))
    assert broken is not None
    broken.weights.write_bytes(b"cut")
    assert maker_of(three, "vitb") == "two"
    last = three.tiers[2].get(key_of("vitb"))
    assert last is not None
    last.weights.write_bytes(b"cut")
    assert three.get(key_of("vitb")) is None
    before = [tree_state(tier.root) for tier in three.tiers[1:]]
    publish(three, "vitb", maker="own")
    assert maker_of(three, "vitb") == "own"
    assert [tree_state(tier.root) for tier in three.tiers[1:]] == before


def test_distrust_of_one_tier_leaves_the_next(three: Store) -> None:
    first = three.get(key_of("vitb"))
    assert first is not None
    three.distrust(first, "a bit was flipped")
    assert maker_of(three, "vitb") == "two"
    assert maker_of(Store(three.root, below=[first.path.parents[3]]), "vitb") == "one"  # another store knows nothing


def test_a_read_only_mount_serves_and_is_left_as_it_is(mount: Mount, tmp_path: Path) -> None:
    image = mount("size=4m")
    fill(image, "vits")
    remount_read_only(image)
    store = Store(tmp_path / "own", below=[image])
    entry = store.get(KEY)
    assert entry is not None
    store.verify(entry, deep=True)
    store.lease(entry).release()
    assert store.recall("vits") == {"of": image.name}
    store.distrust(entry, "why")
    assert store.get(KEY) is None
    assert not (tmp_path / "own").exists()
    publish(store, "vits", maker="own")
    assert maker_of(store) == "own"


def test_the_only_cache_may_be_on_a_read_only_mount(mount: Mount) -> None:
    image = mount("size=4m")
    fill(image, "vits")
    remount_read_only(image)
    store = Store(image)
    entry = store.get(KEY)
    assert entry is not None
    store.lease(entry).release()
    assert store.sweep() == 0
    collected = store.collect(Budget(max_size=0))
    assert collected.freed == ()
    assert all("the file system is read-only" in decision.why for decision in collected.spared)
    assert store.get(KEY) == entry
    for write in (lambda: store.pin(KEY), lambda: publish(store, "vitb"), lambda: store.remember("x", {})):
        with pytest.raises(CacheNotWritableError, match=r"read-only.*DEPTHHUB_CACHE or cache_dir"):
            write()


def test_a_tier_that_vanishes_is_a_miss_and_no_error(three: Store) -> None:
    entry = three.get(key_of("vitl"))
    assert entry is not None
    shutil.rmtree(three.tiers[2].root)
    assert three.get(key_of("vitl")) is None
    assert maker_of(three, "vitb") == "one"
    assert three.recall("vitl") is three.kept(hash_of(b"vitl")) is None
    assert key_of("vitl") not in set(three.keys())
    three.lease(entry).release()
    three.distrust(entry, "gone")
    publish(three, "vitl", maker="own")
    assert maker_of(three, "vitl") == "own"


@pytest.mark.parametrize("kind", ["missing", "a file", "empty"])
def test_a_tier_that_is_none_hides_nothing(tmp_path: Path, kind: str) -> None:
    fill(tmp_path / "last", "vits")
    odd = tmp_path / "odd"
    if kind == "a file":
        odd.write_text("a file")
    elif kind == "empty":
        odd.mkdir()
    store = Store(tmp_path / "own", below=[odd, tmp_path / "last"])
    assert maker_of(store) == "last"
    assert list(store.keys()) == [KEY]
    assert store.recall("vits") == {"of": "last"}
    assert store.kept(hash_of(b"vits")) is not None


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a folder of another user")
@pytest.mark.parametrize("place", ["", "v1", "v1/entries", "v1/refs", "v1/checkpoints", "deep"])
def test_a_tier_that_is_hidden_from_us_does_not_hide_the_rest(open_folder: Path, place: str) -> None:
    hidden = fill(open_folder / "hidden", "vits")
    fill(open_folder / "last", "vits")
    shut = [hidden.root / place]
    if place == "deep":
        shut = [path for path in hidden.root.rglob("*") if path.is_dir() and len(path.name) == 64]
        assert len(shut) == 2
    for folder in shut:
        folder.chmod(0o700)
    store = Store(open_folder / "own", below=[hidden.root, open_folder / "last"])

    def look() -> list[Any]:
        entry, kept = store.get(KEY), store.kept(hash_of(b"vits"))
        assert kept is not None
        assert kept.read_bytes() == b"vits"
        store.verify(entry or KEY, deep=True)
        return [entry and entry.record.about["maker"], list(store.keys()), store.recall("vits"), dict(store.refs())]

    maker, keys, answer, refs = in_a_child(look, as_nobody=True)
    assert maker == ("hidden" if place in ("v1/refs", "v1/checkpoints") else "last")
    assert keys == [KEY]
    of = "last" if place in ("", "v1", "v1/refs") else "hidden"
    assert answer == {"of": of}
    assert refs == {"vits": {"of": of}}


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a file of another user")
def test_ones_own_that_is_hidden_is_reported(open_folder: Path) -> None:
    own = fill(open_folder / "own", "vits")
    (own.root / "v1").chmod(0o700)
    fill(open_folder / "below", "vits")
    store = Store(own.root, below=[open_folder / "below"])
    with pytest.raises(CacheError, match="cannot be read: Permission denied"):
        in_a_child(lambda: store.get(KEY) and None, as_nobody=True)
