"""What is in the hands of a process, to be looked at once more before it is set aside: nobody else removes it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NoReturn

import pytest

from depthhub_cache.collection import Budget
from depthhub_cache.quarantine import reason_of
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

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
