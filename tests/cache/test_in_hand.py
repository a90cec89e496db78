"""What is in the hands of a process, to be looked at once more before it is set aside: nobody else removes it."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from shutil import rmtree
from typing import NoReturn

import pytest

from depthhub_cache import disk, owner
from depthhub_cache.collection import Budget
from depthhub_cache.quarantine import reason_of
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store
from depthhub_cache.verification import is_broken

from .children import needs_fork, together
from .samples import key_of, publish

KEY = key_of("vits")
NOTHING_STAYS = Budget(max_size=0)
REMOVALS = {
    "collected": lambda store: store.collect(NOTHING_STAYS),
    "cleared": lambda store: store.clear_quarantine(),
    "swept": lambda store: store.sweep(),
}


@pytest.mark.parametrize("what", ["an entry", "an answer"])
@pytest.mark.parametrize("removal", REMOVALS)
def test_what_turns_out_to_be_sound_gets_back_its_place(store: Store, removal: str, what: str) -> None:
    """It was made again between the two looks; the second one may take seconds."""
    store.remember("vits", {"a": 1})
    path = publish(store, "vits").path if what == "an entry" else ref_path(store.root / "v1" / "refs", "vits")

    def look(taken: Path) -> bool:
        assert not path.exists()
        REMOVALS[removal](Store(store.root))
        assert taken.exists()
        return False

    assert store.quarantine(path, "what was there before was broken", still=look) is None
    assert path.exists()
    assert list(store.set_aside()) == []
    if what == "an entry":
        store.verify(KEY, deep=True)


def test_who_is_interrupted_gives_it_back(store: Store) -> None:
    def look(_: Path) -> NoReturn:
        raise KeyboardInterrupt

    entry = publish(store, "vits")
    with pytest.raises(KeyboardInterrupt):
        store.quarantine(entry.path, "why", still=look)
    assert store.get(KEY) == entry


@needs_fork
def test_what_a_killed_process_had_in_hand_counts_as_set_aside_from_then_on(store: Store) -> None:
    entry = publish(store, "vits")
    os.utime(entry.path, (time.time() - 90 * 86_400,) * 2)

    def look(_: Path) -> bool:
        assert list(Store(store.root).set_aside()) == [], "it is not yet"
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    assert together(lambda: store.quarantine(entry.path, "why", still=look)) == [-signal.SIGKILL]
    [found] = store.set_aside()
    assert reason_of(found.path) == "not noted"
    assert (found.path / "weights.safetensors").exists()
    assert store.get(KEY) is None
    assert store.collect(Budget()).freed == (), "it was set aside just now"
    assert store.clear_quarantine() > 0
    assert list((store.root / "v1" / "quarantine").iterdir()) == []


def test_where_it_cannot_come_out_of_the_hand_it_is_set_aside_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows a scanner may have it open."""
    publish(store, "vits").weights.write_bytes(b"cut")
    monkeypatch.setattr(disk, "exchange_folder", lambda *_: False)
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.parent.name == Path(target).parent.name == "quarantine":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return rename(path, target)

    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "rename", refused)
        made = publish(store, "vits")
    assert store.get(KEY) == made
    [hand] = (store.root / "v1" / "quarantine").iterdir()
    assert "was made again" in reason_of(hand)


@pytest.mark.parametrize("exchange", [True, False])
def test_what_is_sound_is_never_lost_to_what_is_broken_in_its_place(
    store: Store, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """Another process had it in hand, too, and gave it back."""
    sound = publish(store, "vits")
    if not exchange:
        monkeypatch.setattr(disk, "exchange_folder", lambda *_: False)

    def look(path: Path) -> bool:
        if not sound.path.exists():
            sound.path.mkdir()
            (sound.path / "entry.json").write_text("{")
        return is_broken(path, KEY, deep=True)

    place = store.quarantine(sound.path, "why", still=look)
    assert place is not None
    if exchange:
        assert (place / "entry.json").read_text() == "{"
        store.verify(KEY, deep=True)
    else:
        assert not is_broken(place, KEY, deep=True)


def test_what_is_sound_is_given_back_where_what_was_in_its_place_has_gone_again(store: Store) -> None:
    sound, looks = publish(store, "vits"), []

    def look(path: Path) -> bool:
        looks.append(path)
        if len(looks) == 1:
            sound.path.mkdir()
            (sound.path / "entry.json").write_text("{")
        else:
            rmtree(sound.path)
        return len(looks) > 1

    assert store.quarantine(sound.path, "why", still=look) is None
    store.verify(KEY, deep=True)


def test_an_answer_counts_as_lost_though_the_quarantine_was_cleared_while_it_was_in_hand(tmp_path: Path) -> None:
    Store(tmp_path / "below").remember("vits", {"a": 1})
    store = Store(tmp_path / "own", below=[tmp_path / "below"])
    store.remember("vits", {"a": 2})

    def look(_: Path) -> bool:
        store.clear_quarantine()
        return True

    assert store.quarantine(ref_path(store.root / "v1" / "refs", "vits"), "why", still=look) is not None
    assert store.recall("vits") is None


def test_an_answer_does_not_go_back_over_a_newer_one(store: Store) -> None:
    store.remember("vits", {"a": 1})
    path = ref_path(store.root / "v1" / "refs", "vits")

    def look(taken: Path) -> bool:
        if taken != path:
            store.remember("vits", {"a": 2})
        return False

    assert store.quarantine(path, "why", still=look) is None
    assert store.recall("vits") == {"a": 2}
    assert list((store.root / "v1" / "quarantine").iterdir()) == []


@pytest.mark.parametrize("days", [-90, 90])
def test_on_another_host_it_is_in_hand_whatever_its_files_are_dated(
    store: Store, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    entry = publish(store, "vits")
    for path in (entry.weights, entry.path / "entry.json", entry.path):
        os.utime(path, (time.time() + days * 86_400,) * 2)

    def look(_: Path) -> bool:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(owner, "_host", lambda: "another.12345678")
            assert list(store.set_aside()) == []
            assert store.clear_quarantine() == 0
        return False

    assert store.quarantine(entry.path, "why", still=look) is None
    store.verify(KEY, deep=True)


def test_what_has_no_digest_in_its_name_is_seen_in_the_quarantine_too(store: Store) -> None:
    store.remember("vits", {"a": 1})
    path = ref_path(store.root / "v1" / "refs", "vits")
    copy = path.rename(path.with_name("copy of it.json"))
    assert store.quarantine(copy, "it is that of vits") is not None
    assert [item.reason for item in store.set_aside()] == ["it is that of vits"]
    assert store.clear_quarantine() > 0
