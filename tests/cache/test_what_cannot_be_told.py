"""What the system hides, refuses or turns round in a moment that nobody expects: nothing of it loses an entry."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from depthhub_cache import disk, verification
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.collection import Budget
from depthhub_cache.entry import identity_of
from depthhub_cache.errors import BrokenEntryError, CacheError, CacheNotWritableError
from depthhub_cache.reading import is_there, listed
from depthhub_cache.record import Record
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from .samples import files_under, key_of, publish, weights_of

NOTHING_STAYS = Budget(max_size=0)


@pytest.mark.parametrize("area", ["leases", "pins"])
def test_where_nobody_can_tell_who_holds_an_entry_it_stays(
    store: Store, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = publish(store, "vits")
    folder = store.root / "v1" / area
    folder.mkdir(exist_ok=True)
    lstat = Path.lstat

    def refusing(path: Path) -> os.stat_result:
        if path == folder or path.parent == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", refusing)
    collected = store.collect(NOTHING_STAYS)
    assert collected.freed == ()
    assert "perhaps in use or pinned" in collected.spared[0].why
    assert "Permission denied" in collected.spared[0].why
    monkeypatch.undo()
    assert store.get(entry.key) is not None
    assert [decision.item.name for decision in store.collect(NOTHING_STAYS).freed] == [entry.key]


def test_an_entry_whose_record_the_system_refuses_for_a_moment_is_not_taken_for_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process has as many files open as it may."""
    entry = publish(store, "vits")

    def refusing(path: Path, limit: int) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr("depthhub_cache.entry.read_file", refusing)
    with pytest.raises(CacheError, match="cannot be read: Too many open files"):
        identity_of(entry.path)
    with pytest.raises(CacheError, match="cannot be read: Too many open files"):
        store.get(entry.key)
    store.distrust(entry, "for a reason that is none")
    assert list(store.set_aside()) == []
    monkeypatch.undo()
    assert Store(store.root).get(entry.key) is not None


@pytest.mark.parametrize("stops", [None, "no room for the marker", "no room in the quarantine", "another one since"])
def test_a_damaged_answer_that_is_set_aside_is_known_to_be_lost_or_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: str | None
) -> None:
    Store(tmp_path / "below").remember("vits", {"commit": "older"})
    store = Store(tmp_path / "own", below=[tmp_path / "below"])
    store.remember("vits", {"commit": "newer"})
    path = ref_path(store.root / "v1" / "refs", "vits")
    path.write_bytes(b"{")

    def full(*_: object, **__: object) -> None:
        raise CacheNotWritableError("no room", path=path)

    if stops == "no room for the marker":
        monkeypatch.setattr(disk, "make_file", full)
    if stops == "no room in the quarantine":
        monkeypatch.setattr("depthhub_cache.quarantine._take", full)
    if stops is None or stops == "another one since":
        place = store.quarantine(path, "damaged", still=lambda _: stops is None)
        assert (place is not None) == (stops is None)
    else:
        with pytest.raises(CacheNotWritableError, match="no room"):
            store.quarantine(path, "damaged")
    monkeypatch.undo()
    assert store.recall("vits") is None, "never the older one"
    assert store.has_answer("vits")
    assert (path.read_bytes() == b"{") if stops else not path.exists()
    assert len(list(store.set_aside())) == (stops is None)
    assert files_under(store.root / "v1" / "tmp") == {}
    if stops is None:
        store.remember("vits", {"commit": "newest"})
        assert store.recall("vits") == {"commit": "newest"}


def test_an_answer_counts_as_lost_until_the_quarantine_is_cleared(tmp_path: Path) -> None:
    Store(tmp_path / "below").remember("vits", {"commit": "older"})
    store = Store(tmp_path / "own", below=[tmp_path / "below"])
    store.remember("vits", {"commit": "newer"})
    path = ref_path(store.root / "v1" / "refs", "vits")
    path.write_bytes(b"{")
    store.quarantine(path, "damaged")
    store.collect(NOTHING_STAYS)
    assert (store.recall("vits"), store.has_answer("vits"), list(store.broken_refs())) == (None, True, [])
    assert Store(tmp_path / "another", below=[store.root, tmp_path / "below"]).recall("vits") is None
    store.clear_quarantine()
    assert store.recall("vits") == {"commit": "older"}


def test_leases_that_lie_behind_a_link_are_not_taken_for_none(store: Store, tmp_path: Path) -> None:
    entry = publish(store, "vits")
    (store.root / "v1" / "leases").symlink_to(tmp_path, target_is_directory=True)
    assert store.collect(NOTHING_STAYS).freed == ()
    assert store.get(entry.key) is not None


def test_what_is_not_there_is_empty_and_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    assert listed(tmp_path / "none") == []
    (tmp_path / "file").touch()
    assert not is_there(tmp_path / "file" / "below")
    with pytest.raises(NotADirectoryError):
        listed(tmp_path / "file")


def test_a_sound_entry_that_came_between_look_and_exchange_is_not_set_aside(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (publish(store, "vits").path / "entry.json").unlink()
    exchange_folder = disk.exchange_folder

    def after_another_was_faster(folder: Path, target: Path) -> bool:
        monkeypatch.undo()
        store.remove(key_of("vits"))
        publish(store, "vits", maker="another")
        return exchange_folder(folder, target)

    monkeypatch.setattr(disk, "exchange_folder", after_another_was_faster)
    publish(store, "vits", maker="this")
    found = store.get(key_of("vits"))
    assert found is not None
    assert found.weights.read_bytes() == weights_of("vits")
    assert list(store.set_aside()) == []
    assert files_under(store.root / "v1" / "tmp") == {}


def test_an_entry_made_again_is_trusted_whatever_its_inode_is(tmp_path: Path) -> None:
    """On ext4 the folder of the second one has the inode that the first one had."""
    store = Store(tmp_path / "cache")
    first = publish(store, "vits")
    store.remove(first.key)
    second = publish(store, "vits", maker="another")
    store.distrust(first, "a bit was flipped")
    found = store.get(first.key)
    assert found is not None
    assert found.identity == second.identity


@pytest.fixture
def clock_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is published has one time, as where a file system's clock is coarse: equal records have equal dates."""
    gather = disk.gather

    class Noon(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Noon:
            return cls(2026, 1, 1, 12, tzinfo=tz)

    def dated(folder: Path, files: dict[str, Path]) -> None:
        gather(folder, files)
        os.utime(folder / "entry.json", (0, 0))

    monkeypatch.setattr("depthhub_cache.store.datetime", Noon)
    monkeypatch.setattr(disk, "gather", dated)


@pytest.mark.usefixtures("clock_that_stands_still")
@pytest.mark.parametrize("is_in_the_way", [False, True])
def test_what_is_made_again_within_a_tick_of_the_clock_is_not_passed_by(store: Store, is_in_the_way: bool) -> None:
    first = publish(store, "vits")
    if is_in_the_way:
        (store.root / "v1" / "quarantine").write_text("nothing can be set aside here")
    store.distrust(first, "a bit was flipped")
    assert store.get(first.key) is None
    second = publish(store, "vits")
    assert second.identity == first.identity, "the case that is tested"
    found = store.get(first.key)
    assert found is not None
    assert found.weights.samefile(second.weights)


@pytest.mark.usefixtures("clock_that_stands_still")
def test_what_cannot_be_made_again_stays_distrusted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish(store, "vits")
    (store.root / "v1" / "quarantine").write_text("nothing can be set aside here")
    store.distrust(first, "a bit was flipped")
    monkeypatch.setattr(disk, "exchange", lambda one, other: False)
    with pytest.raises(CacheNotWritableError):
        publish(store, "vits")
    assert store.get(first.key) is None


@pytest.mark.skipif(sys.platform != "linux", reason="union mounts are Linux's")
@pytest.mark.parametrize(
    ("stuck", "lost"),
    [("entry.json", "weights.safetensors"), ("weights.safetensors", "entry.json"), ("weights.safetensors", "a")],
)
def test_an_entry_that_can_neither_be_taken_away_nor_put_back_keeps_its_record(
    store: Store, stuck: str, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a union mount, whose folders only their files can leave, on a disk that fails: on the way and back."""
    entry = publish(store, "vits")
    for name in ("a", "b"):
        (entry.path / name).touch()
    rename, take_free_name = Path.rename, disk.take_free_name

    def failing(path: Path, target: Path) -> Path:
        if path == entry.path:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(path))
        if path == entry.path / stuck:
            raise OSError(errno.EIO, f"{path.name} cannot be moved", str(path))
        return rename(path, target)

    def failing_on_the_way_back(path: Path, name: Path) -> bool:
        if name == entry.path / lost:
            raise OSError(errno.EIO, f"{name.name} cannot be moved", str(name))
        return take_free_name(path, name)

    monkeypatch.setattr(Path, "rename", failing)
    monkeypatch.setattr(disk, "take_free_name", failing_on_the_way_back)
    with pytest.raises(CacheNotWritableError, match=f"{stuck} cannot be moved"):
        store.remove(entry.key)
    monkeypatch.undo()
    assert Record.parse((entry.path / "entry.json").read_bytes()) == entry.record
    assert (entry.path / "b").exists(), "one that cannot be put back keeps no other from its place"
    if lost == "weights.safetensors":
        with pytest.raises(BrokenEntryError, match=r"weights.safetensors is missing"):
            store.verify(entry.key, deep=True)
        assert publish(store, "vits", maker="second").record.about["maker"] == "second"
    store.verify(entry.key, deep=True)


def test_a_removal_that_the_system_cannot_make_last_is_done_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = publish(store, "vits")

    def failing(folder: Path) -> None:
        raise OSError(5, "Input/output error", str(folder))

    monkeypatch.setattr(disk, "sync_folder", failing)
    (tmp := store.root / "v1" / "tmp").mkdir(exist_ok=True)
    assert [decision.item.name for decision in store.collect(NOTHING_STAYS).freed] == [entry.key]
    monkeypatch.undo()
    assert store.get(entry.key) is None
    assert files_under(tmp) == {}


def test_weights_that_vanish_while_they_are_verified_are_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = publish(store, "vits")
    read_entry = verification.read_entry

    def and_gone(*args: object) -> object:
        found = read_entry(*args)  # type: ignore[arg-type]
        entry.weights.unlink()
        return found

    monkeypatch.setattr(verification, "read_entry", and_gone)
    with pytest.raises(BrokenEntryError, match="is missing"):
        store.verify(entry, deep=True)


@pytest.fixture
def union_mount(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Mounts a folder as an image has it: to be read below, to be written above, and no folder of it can be moved."""
    merged: list[Path] = []

    def make(lower: Path) -> Path:
        folders = {name: tmp_path / f"union-{name}" for name in ("upper", "work", "merged")}
        for folder in folders.values():
            folder.mkdir()
        options = f"lowerdir={lower},upperdir={folders['upper']},workdir={folders['work']},redirect_dir=off"
        command = ["mount", "-t", "overlay", "-o", options, "depthhub-test", str(folders["merged"])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("this system has no mount")
        if done.returncode:
            pytest.skip(f"may not mount here: {done.stderr.strip()}")
        merged.append(folders["merged"])
        return folders["merged"]

    yield make
    for folder in merged:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_an_entry_baked_into_an_image_is_removed_and_repaired(
    tmp_path: Path, union_mount: Callable[[Path], Path]
) -> None:
    publish(Store(tmp_path / "image"), "vits")
    broken = publish(Store(tmp_path / "image"), "vitb")
    broken.weights.write_bytes(b"cut")
    store = Store(union_mount(tmp_path / "image"))
    assert publish(store, "vitb").weights.read_bytes() == weights_of("vitb")
    assert len(list(store.set_aside())) == 1
    assert store.remove(key_of("vits")) > 0
    assert store.get(key_of("vits")) is None
    assert publish(store, "vits").weights.read_bytes() == weights_of("vits")
    assert files_under(store.root / "v1" / "tmp") == {}


def test_what_is_being_imported_is_not_collected(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    entry = publish(other, "vits")
    bundle = io.BytesIO()
    export_bundle(other, [entry.key], {}, bundle.write)
    bundle.seek(0)
    publish(store, "vits")
    spared: list[str] = []

    told: list[int] = []

    def collect(done: int, total: int) -> None:
        told.append(done)
        if len(told) > 1:  # the record is read before anybody knows what it is of
            spared.extend(decision.item.name for decision in store.collect(NOTHING_STAYS).spared)

    import_bundle(store, bundle, tmp_path / "a.tar", progress=collect)
    assert entry.key in spared
    assert store.get(entry.key) is not None


def test_a_damaged_entry_of_an_image_is_set_aside_and_not_given_again(
    tmp_path: Path, union_mount: Callable[[Path], Path]
) -> None:
    publish(Store(tmp_path / "image"), "vits")
    store = Store(union_mount(tmp_path / "image"))
    entry = store.get(key_of("vits"))
    assert entry is not None
    store.distrust(entry, "a bit was flipped")
    assert store.get(key_of("vits")) is None
    assert len(list(store.set_aside())) == 1
    assert Store(store.root).get(key_of("vits")) is None


def test_an_entry_of_an_image_that_cannot_be_taken_away_whole_stays_whole(
    tmp_path: Path, union_mount: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(Store(tmp_path / "image"), "vits")
    store = Store(union_mount(tmp_path / "image"))
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.name == "weights.safetensors":  # to move it, the union mount has to copy it
            raise OSError(28, "No space left on device", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    [spared] = store.collect(NOTHING_STAYS).spared
    assert spared.refused
    monkeypatch.undo()
    assert store.get(key_of("vits")) is not None
    assert files_under(store.root / "v1" / "tmp") == {}


@pytest.mark.parametrize("meanwhile", ["nothing", "made anew", "made anew, and half of it taken"])
def test_what_is_taken_apart_never_becomes_one_with_what_is_made_anew_meanwhile(
    tmp_path: Path, union_mount: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    publish(Store(tmp_path / "image"), "vits").weights.write_bytes(flipped := bytes(weights_of("vits")[:-1]) + b"?")
    store = Store(union_mount(tmp_path / "image"))
    entry = store.get(key_of("vits"))
    assert entry is not None
    rename = Path.rename

    def held_up(path: Path, target: Path) -> Path:
        if path == entry.path / "entry.json" and "quarantine" in str(target):  # the weights are there already
            monkeypatch.undo()
            if meanwhile != "nothing":
                path.unlink()  # as another who sets it aside does with what is left
                publish(store, "vits")
            if meanwhile != "made anew, and half of it taken":
                raise FileNotFoundError(2, "No such file or directory", str(path))
            rename(path, target)
            shutil.rmtree(entry.path)  # half an entry: another sets it aside
            return target
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", held_up)
    with suppress(BrokenEntryError, CacheError):
        store.distrust(entry, "a bit was flipped")
    if meanwhile == "made anew, and half of it taken":
        assert store.get(entry.key) is None
    else:
        assert entry.weights.read_bytes() == (flipped if meanwhile == "nothing" else weights_of("vits"))
