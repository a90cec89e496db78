"""Locks save work: one process makes, the others wait, are told for whom, and never for ever."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from depthhub_cache import locks
from depthhub_cache.owner import Owner
from depthhub_cache.store import Store

from .children import answer_of, end, first_word_of, in_a_child, needs_fork, wait_until, worker
from .samples import key_of, publish

KEY = key_of("vits")


def test_eight_processes_that_ask_at_once_make_an_entry_once(store: Store, tmp_path: Path) -> None:
    go = tmp_path / "go"
    processes = [worker("ensure", store.root, "vits", go) for _ in range(8)]
    assert [first_word_of(process) for process in processes] == ["ready"] * 8
    go.touch()
    assert sum(answer_of(process) for process in processes) == 1
    assert len(list(store.entries())) == 1


def test_who_waits_is_told_for_whom_and_goes_on_without_in_the_end(store: Store) -> None:
    process = worker("hold", store.root, "vits")
    try:
        assert first_word_of(process) == "held"
        told: list[str] = []
        began = time.monotonic()
        with Store(store.root, lock_timeout=2.5).lock(KEY, on_wait=told.append) as held:
            assert not held
            publish(store, "vits")
        assert 2.4 < time.monotonic() - began < 10
    finally:
        end(process)
    today = datetime.now(timezone.utc).strftime("%Y-%m-")
    assert len(told) == 2
    assert told[0].startswith(f"waiting for process {process.pid} on ")
    assert f"at work since {today}" in told[0]
    assert told[1].startswith(f"waited 2 s for process {process.pid} on ")
    assert store.get(KEY) is not None


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o666])
def test_no_mode_that_a_lock_can_have_is_an_error(store: Store, mode: int) -> None:
    """As in a cache that somebody made read-only with chmod, or with a strange umask."""
    with store.lock(KEY):
        pass
    [path] = (store.root / "v1" / "locks").glob("*.lock")
    path.chmod(mode)
    with Store(store.root, lock_timeout=0.1).lock(KEY):
        publish(store, "vits")
    path.chmod(0o644)
    with store.lock(KEY) as held:
        assert held


def test_the_lock_of_a_killed_process_is_free(store: Store) -> None:
    process = worker("hold", store.root, "vits")
    assert first_word_of(process) == "held"
    with Store(store.root, lock_timeout=0.1).lock(KEY) as held:
        assert not held
    end(process)
    with Store(store.root, lock_timeout=5).lock(KEY) as held:
        assert held


def test_a_lock_is_free_again_after_its_context_even_after_an_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.lock(KEY):
        raise ZeroDivisionError
    with Store(store.root, lock_timeout=0).lock(KEY) as held:
        assert held
        assert (store.root / "v1" / "locks" / f"{KEY}.holder").exists()
    assert [path.name for path in (store.root / "v1" / "locks").iterdir()] == [f"{KEY}.lock"]


def test_locks_of_different_keys_do_not_wait_for_each_other(store: Store) -> None:
    impatient = Store(store.root, lock_timeout=0)
    with impatient.lock(KEY) as first, impatient.lock(key_of("vitb")) as second:
        assert first
        assert second


class CancelledError(OSError):
    pass


def test_what_the_callback_raises_ends_the_waiting(store: Store) -> None:
    def cancel(_: str) -> None:
        raise CancelledError

    impatient = Store(store.root, lock_timeout=0.1)
    with store.lock(KEY), pytest.raises(CancelledError), impatient.lock(KEY, on_wait=cancel):
        pytest.fail("went on")


@pytest.mark.parametrize(
    "word",
    [
        b"",
        b"{",
        b"[]",
        b'{"owner": 3}',
        json.dumps({"owner": f"{Owner.current().host}-{os.getpid()}-1", "host": "x", "since": "2020-01-01"}).encode(),
    ],
    ids=["empty", "half", "a list", "no owner", "another process of this number"],
)
def test_the_word_of_a_holder_that_is_gone_or_damaged_is_not_believed(store: Store, word: bytes) -> None:
    told: list[str] = []
    with store.lock(KEY):
        (store.root / "v1" / "locks" / f"{KEY}.holder").write_bytes(word)
        with Store(store.root, lock_timeout=0.05).lock(KEY, on_wait=told.append):
            pass
    if word.endswith(b"}") and sys.platform != "linux":
        return  # only there is a later process with the same pid told apart
    assert told == ["waited 0 s for another process, which has not said who it is; going on without the lock"]


def test_what_the_holder_says_does_not_break_the_sentence(store: Store) -> None:
    told: list[str] = []
    facts = {"owner": str(Owner.current()), "host": "a\x1b[31m\n" * 100, "since": "2020-01-01T00:00:00+00:00"}
    with store.lock(KEY):
        (store.root / "v1" / "locks" / f"{KEY}.holder").write_text(json.dumps(facts))
        with Store(store.root, lock_timeout=0.05).lock(KEY, on_wait=told.append):
            pass
    assert told[0].isprintable()
    assert len(told[0]) < 300


def test_where_no_lock_can_be_made_the_work_goes_on_without(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    publish(store, "vitb")
    (store.root / "v1" / "locks").write_text("in the way")
    with store.lock(KEY) as held:
        assert not held
        publish(store, "vits")
    assert "going on without it" in caplog.text
    assert store.get(KEY) is not None


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a file of another user")
def test_a_lock_file_of_another_user_that_one_may_not_open_is_no_obstacle(open_folder: Path) -> None:
    store = Store(open_folder / "cache", lock_timeout=1)
    with store.lock(KEY):
        pass

    def lock() -> bool:
        with store.lock(KEY) as held:
            return held

    assert in_a_child(lock, as_nobody=True) is False


def test_the_first_word_comes_after_two_seconds(store: Store) -> None:
    assert locks.TELL_AFTER == 2.0
    told: list[float] = []
    began = time.monotonic()
    process = worker("hold", store.root, "vits")
    try:
        assert first_word_of(process) == "held"
        began = time.monotonic()

        def stop(_: str) -> None:
            told.append(time.monotonic() - began)
            end(process)

        with Store(store.root, lock_timeout=60).lock(KEY, on_wait=stop) as held:
            assert held  # as soon as the holder was gone
        assert time.monotonic() - began < 20
    finally:
        end(process)
    assert 1.9 < told[0] < 10
    wait_until(lambda: process.poll() is not None)
