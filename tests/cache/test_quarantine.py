"""The quarantine: what is broken is set aside as it was found, with its reason, and is never lost silently."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from depthhub_cache import disk
from depthhub_cache.collection import Budget
from depthhub_cache.errors import BrokenEntryError, CacheNotWritableError
from depthhub_cache.quarantine import all_set_aside, reason_of
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from .children import killed_in_a_child, needs_fork
from .conftest import Mount
from .samples import files_under, key_of, publish, weights_of

KEY = key_of("vits")
DAY = 86_400.0


def set_aside(store: Store) -> list[Path]:
    return list(all_set_aside(store.root / "v1" / "quarantine"))


def flip(path: Path) -> bytes:
    """Change the last byte of a file; all of it."""
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    return bytes(damaged)


def fill(root: Path) -> None:
    """Use up the space of a small file system."""
    with (root / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_what_is_distrusted_is_set_aside_as_it_was_found_with_its_reason(store: Store) -> None:
    entry = publish(store, "vits")
    record, damaged = (entry.path / "entry.json").read_bytes(), flip(entry.weights)
    store.distrust(entry, "a bit was flipped")
    assert store.get(KEY) is None
    assert not entry.path.exists()
    [place] = set_aside(store)
    assert place.name.startswith(f"{KEY}-")
    assert (place / "weights.safetensors").read_bytes() == damaged
    assert (place / "entry.json").read_bytes() == record
    assert reason_of(place) == "a bit was flipped"
    assert files_under(store.root / "v1" / "tmp") == {}
    store.verify(publish(store, "vits"), deep=True)


def test_the_reason_says_where_it_was_and_since_when_it_is_there(store: Store) -> None:
    entry = publish(store, "vits")
    place = store.quarantine(entry.path, "why")
    assert place is not None
    text = (place / "reason.json").read_text()
    assert str(entry.path) in text
    assert '"since": "20' in text


def test_without_an_exchange_the_reason_is_told_as_well(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(store, "vits").weights.write_bytes(b"cut")
    monkeypatch.setattr(disk, "exchange_folder", lambda *_: False)
    publish(store, "vits")
    [place] = set_aside(store)
    assert "was made again: weights.safetensors has 3 bytes instead of" in reason_of(place)


def test_publishing_over_a_broken_entry_sets_it_aside(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    entry = publish(store, "vits")
    entry.weights.write_bytes(b"cut")
    second = publish(store, "vits")
    store.verify(second, deep=True)
    [place] = set_aside(store)
    assert (place / "weights.safetensors").read_bytes() == b"cut"
    assert "was broken, and was made again: weights.safetensors has 3 bytes instead of" in reason_of(place)
    assert str(place) in caplog.text


def test_the_same_where_nothing_can_be_exchanged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "exchange", lambda one, other: False)
    publish(store, "vits").weights.write_bytes(b"cut")
    store.verify(publish(store, "vits"), deep=True)
    [place] = set_aside(store)
    assert (place / "weights.safetensors").read_bytes() == b"cut"


def test_the_same_thing_may_be_set_aside_many_times(store: Store) -> None:
    for turn in range(3):
        entry = publish(store, "vits")
        store.distrust(entry, f"turn {turn}")
    assert sorted(map(reason_of, set_aside(store))) == ["turn 0", "turn 1", "turn 2"]


def test_a_file_where_a_folder_should_be_is_set_aside_in_a_folder(store: Store) -> None:
    path = store.root / "v1" / "entries" / KEY[:2] / KEY
    path.parent.mkdir(parents=True)
    path.write_text("a file")
    with pytest.raises(BrokenEntryError) as caught:
        store.verify(KEY, deep=False)
    place = store.quarantine(caught.value.path, str(caught.value))
    assert place is not None
    assert not path.exists()
    assert (place / KEY).read_text() == "a file"
    assert reason_of(place) == str(caught.value)


@pytest.mark.parametrize("kind", ["link to a folder", "link to nothing"])
def test_a_link_is_set_aside_and_what_it_leads_to_is_left_alone(store: Store, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "precious"
    if kind == "link to a folder":
        target.mkdir()
    path = store.root / "v1" / "entries" / KEY[:2] / KEY
    path.parent.mkdir(parents=True)
    path.symlink_to(target)
    place = store.quarantine(path, "a link")
    assert place is not None
    assert not os.path.lexists(path)
    assert reason_of(place) == "a link"
    assert files_under(tmp_path) == {}


def test_a_damaged_ref_is_set_aside_and_can_be_remembered_again(store: Store) -> None:
    store.remember("vits", {"a": 1})
    path = ref_path(store.root / "v1" / "refs", "vits")
    damaged = flip(path)
    [(broken, problem)] = store.broken_refs()
    place = store.quarantine(broken, problem)
    assert place is not None
    assert (place / path.name).read_bytes() == damaged
    assert reason_of(place) == problem
    assert list(store.broken_refs()) == []
    store.remember("vits", {"a": 2})
    assert store.recall("vits") == {"a": 2}


def test_a_ref_under_a_wrong_name_is_broken_and_one_that_is_whole_is_not(store: Store) -> None:
    refs = store.root / "v1" / "refs"
    store.remember("vits", {"a": 1})
    assert list(store.broken_refs()) == []
    ref_path(refs, "vitb").parent.mkdir(exist_ok=True)
    ref_path(refs, "vits").rename(ref_path(refs, "vitb"))
    [(path, problem)] = store.broken_refs()
    assert path == ref_path(refs, "vitb")
    assert problem == "it is that of vits"


def test_what_is_not_there_is_not_set_aside(store: Store) -> None:
    publish(store, "vitb")
    assert store.quarantine(store.root / "v1" / "entries" / KEY[:2] / KEY, "gone") is None
    assert store.quarantine(ref_path(store.root / "v1" / "refs", "vits"), "gone") is None
    assert set_aside(store) == []


def test_on_a_full_disk_it_goes_all_the_same_without_its_reason(mount: Mount) -> None:
    root = mount("size=256k")
    store = Store(root)
    entry = publish(store, "vits")
    flip(entry.weights)
    fill(root)
    store.distrust(entry, "a bit was flipped")
    assert store.get(KEY) is None
    [place] = set_aside(store)
    assert (place / "weights.safetensors").exists()
    assert reason_of(place) == "not noted"
    assert files_under(root / "v1" / "tmp") == {}


def test_what_went_without_its_reason_is_not_taken_for_old(mount: Mount) -> None:
    """Its age in the quarantine counts, not the age of the entry that it was."""
    root = mount("size=256k")
    store = Store(root)
    entry = publish(store, "vits")
    os.utime(entry.path, (time.time() - 90 * DAY,) * 2)
    fill(root)
    store.distrust(entry, "a bit was flipped")
    assert store.collect(Budget()).freed == ()
    assert len(set_aside(store)) == 1


def test_where_no_name_can_be_made_the_entry_is_passed_by(mount: Mount) -> None:
    root = mount("size=1m,nr_inodes=20")
    store = Store(root)
    entry = publish(store, "vits")
    flip(entry.weights)
    with suppress(OSError):
        for number in range(20):
            (root / str(number)).touch()
    assert not (root / "19").exists()
    store.distrust(entry, "a bit was flipped")
    assert store.get(KEY) is None
    assert list(store.entries()) == []
    store.sweep()
    assert entry.weights.exists(), "it could not be set aside, and was lost"


def test_on_a_read_only_file_system_it_is_passed_by_and_that_is_said(
    mount: Mount, caplog: pytest.LogCaptureFixture
) -> None:
    root = mount("size=1m")
    entry = publish(Store(root), "vits")
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    store = Store(root)
    store.distrust(entry, "a bit was flipped")
    assert "a bit was flipped (it cannot be set aside: Cannot write" in caplog.text
    assert store.get(KEY) is None
    assert Store(root).get(KEY) == entry
    with pytest.raises(CacheNotWritableError, match="read-only"):
        store.quarantine(entry.path, "why")


def test_an_entry_that_was_passed_by_is_never_adopted_by_who_makes_it_again(store: Store) -> None:
    """It looks whole to all but the deep check, and cannot be set aside; to publish must not give it back."""
    entry = publish(store, "vits")
    flip(entry.weights)
    (store.root / "v1" / "quarantine").write_text("in the way")
    store.distrust(entry, "a bit was flipped")
    assert store.get(KEY) is None
    again = publish(store, "vits")
    assert again.weights.read_bytes() == weights_of("vits")
    store.verify(again, deep=True)


def test_what_cannot_be_set_aside_is_not_lost_without_a_word(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    publish(store, "vits").weights.write_bytes(b"cut")
    (store.root / "v1" / "quarantine").write_text("in the way")
    store.verify(publish(store, "vits"), deep=True)
    said = [
        record for record in caplog.records if record.levelname == "WARNING" and "quarantine" in record.getMessage()
    ]
    assert said != [], "the broken entry is gone, and nothing was said"


@pytest.mark.parametrize("reason", [b"", b"{", b"[" * 100_000, b'{"reason": "x"}', bytes(1 << 17), None])
def test_a_reason_that_is_damaged_or_missing_is_said_to_be_not_noted(store: Store, reason: bytes | None) -> None:
    place = store.quarantine(publish(store, "vits").path, "why")
    assert place is not None
    if reason is None:
        (place / "reason.json").unlink()
    else:
        (place / "reason.json").write_bytes(reason)
    assert reason_of(place) == "not noted"


def test_a_reason_of_any_length_and_any_letters_is_noted(store: Store) -> None:
    place = store.quarantine(publish(store, "vits").path, "\udcff\0é\n" * 100_000)
    assert place is not None
    assert reason_of(place).startswith("\udcff\0é\n")


def test_an_entry_of_a_tier_below_is_passed_by_and_stays_as_it_is(tmp_path: Path) -> None:
    publish(Store(tmp_path / "below"), "vits")
    store = Store(tmp_path / "above", below=[tmp_path / "below"])
    entry = store.get(KEY)
    assert entry is not None
    before = files_under(tmp_path)
    store.distrust(entry, "a bit was flipped")
    assert store.get(KEY) is None
    assert files_under(tmp_path) == before
    again = publish(store, "vits")
    assert again.path.is_relative_to(tmp_path / "above")
    assert store.get(KEY) == again


@needs_fork
@pytest.mark.parametrize("work", ["distrust", "publish"])
def test_killed_at_any_line_it_is_in_its_place_or_in_the_quarantine(store: Store, work: str) -> None:
    """Or on its way from the one to the other, in a staging directory."""
    seen = set()
    for line in range(1, 2000, 13):
        store.remove(KEY)
        for place in set_aside(store):
            disk.delete_tree(place)
        entry = publish(store, "vits")
        entry.weights.write_bytes(b"cut")

        def act(entry=entry) -> None:  # type: ignore[no-untyped-def]
            store.distrust(entry, "why") if work == "distrust" else publish(store, "vits")

        killed = killed_in_a_child(act, at_line=line)
        cut = [path for path in (store.root / "v1").rglob("weights.safetensors") if path.read_bytes() == b"cut"]
        [area] = [path.relative_to(store.root / "v1").parts[0] for path in cut]
        assert area in {"entries", "quarantine", "tmp"}
        seen.add(area)
        store.sweep()
        if not killed:
            break
    assert not killed
    assert seen >= {"entries", "quarantine"}
