"""Room is asked for before anything is written, and the error says how much is missing and what would help."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest

from depthhub_cache.collection import Budget
from depthhub_cache.errors import CacheNotWritableError, DepthHubError, NoSpaceError
from depthhub_cache.space import free_bytes
from depthhub_cache.store import Store

from .children import in_a_child, needs_fork
from .conftest import Mount
from .samples import files_under, key_of, publish, weights_of


def refused(store: Store, needed: int) -> NoSpaceError:
    with pytest.raises(NoSpaceError) as caught:
        store.require_space(needed)
    return caught.value


def test_what_is_free_is_enough_and_one_byte_more_is_not(mount: Mount) -> None:
    root = mount("size=1m")
    store = Store(root)
    free = shutil.disk_usage(root).free
    store.require_space(free)
    store.require_space(0)
    error = refused(store, free + 1)
    assert (error.needed, error.free, error.missing, error.reclaimable) == (free + 1, free, 1, 0)
    assert error.path == root
    assert list(root.iterdir()) == []


def test_the_message_says_what_is_missing_and_what_a_collection_would_free(mount: Mount) -> None:
    root = mount("size=1m")
    store = Store(root / "cache")
    for name in ("free", "pinned", "leased"):
        publish(store, name, data=weights_of(name, 100_000))
    store.pin(key_of("pinned"))
    leased = store.get(key_of("leased"))
    assert leased is not None
    lease = store.lease(leased)
    error = refused(store, 2_000_000)
    would = store.collect(Budget(max_size=0), dry_run=True)
    assert error.reclaimable == would.freed_bytes > 100_000
    assert error.reclaimable < 200_000
    assert error.free == shutil.disk_usage(root).free
    for number in (2_000_000, error.free, error.missing, error.reclaimable):
        assert f"{number:,}" in str(error)
    assert "A collection would free only" in str(error)
    assert "DEPTHHUB_CACHE or cache_dir" in str(error)
    lease.release()


def test_the_advice_names_a_size_that_makes_just_enough_room(mount: Mount) -> None:
    root = mount("size=20m")
    store = Store(root / "cache")
    for number in range(3):
        publish(store, number, data=weights_of(number, 4_000_000))
    needed = shutil.disk_usage(root).free + 3_000_000
    error = refused(store, needed)
    [told] = re.findall(r"cache gc --max-size (\d+)MB", str(error))
    assert len(store.collect(Budget(max_size=int(told) * 10**6)).freed) == 1
    store.require_space(needed)


def test_where_a_collection_frees_nothing_the_message_says_so(mount: Mount) -> None:
    error = refused(Store(mount("size=64k")), 1_000_000)
    assert "A collection would free nothing" in str(error)
    assert "--max-size" not in str(error)


def test_what_a_collection_would_free_is_what_it_frees(mount: Mount) -> None:
    root = mount("size=1m")
    store = Store(root / "cache")
    for name in range(4):
        publish(store, name, data=weights_of(name, 200_000))
    needed = 700_000
    error = refused(store, needed)
    assert error.reclaimable > error.missing
    assert store.collect(Budget(max_size=0)).freed_bytes == error.reclaimable
    store.require_space(needed)


def test_the_error_survives_pickling_with_its_numbers(mount: Mount) -> None:
    error = refused(Store(mount("size=64k")), 1_000_000)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is NoSpaceError
    assert isinstance(again, CacheNotWritableError)
    assert isinstance(again, DepthHubError)
    assert isinstance(again, OSError)
    facts = ("path", "free", "needed", "missing", "reclaimable")
    assert [getattr(again, name) for name in facts] == [getattr(error, name) for name in facts]
    assert str(again) == str(error)


def test_a_cache_that_is_not_there_yet_has_the_room_of_where_it_will_be(mount: Mount) -> None:
    root = mount("size=64k")
    store = Store(root / "a" / "b" / "cache")
    assert refused(store, 1_000_000).free == shutil.disk_usage(root).free
    assert list(root.iterdir()) == []


def test_a_file_in_the_way_is_not_asked_for_room(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert free_bytes(tmp_path / "file" / "cache") == pytest.approx(shutil.disk_usage(tmp_path).free, abs=1 << 26)


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a folder of another user")
def test_what_is_reserved_for_root_and_what_is_hidden_makes_no_error(open_folder: Path) -> None:
    (open_folder / "hidden").mkdir(mode=0o700)
    free = in_a_child(lambda: free_bytes(open_folder / "hidden" / "cache"), as_nobody=True)
    assert free is not None
    assert 0 < free <= shutil.disk_usage(open_folder).free + (1 << 26)


@pytest.mark.skipif(sys.platform == "win32", reason="paths of another kind")
def test_where_nothing_tells_how_much_is_free_nothing_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_knows(path: object) -> None:
        raise OSError

    monkeypatch.setattr(shutil, "disk_usage", nobody_knows)
    store.require_space(2**62)


def test_asking_for_room_writes_nothing(mount: Mount) -> None:
    root = mount("size=1m")
    store = Store(root)
    publish(store, "vits")
    before = files_under(root)
    store.require_space(1000)
    refused(store, 2**40)
    assert files_under(root) == before
