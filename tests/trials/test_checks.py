"""The checks that the trials rest on find what is broken."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from depthhub_cache.errors import CacheNotWritableError
from depthhub_cache.identity import ContentHash
from depthhub_cache.store import Store
from trials import fuzz
from trials.barrier import together
from trials.calls import Said, succeeded, wrong_with_refusal
from trials.children import Child, Ended, in_a_child, many
from trials.fuzz_target import Target
from trials.machine_facts import file_system_of
from trials.samples import Known, publish_sample, sample_key, sample_sha256, sample_weights
from trials.soundness import rubbish, unsound


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With two entries, a ref and a kept original, all whole."""
    store = Store(tmp_path / "cache")
    for name in ("a", "b"):
        publish_sample(store, name)
    store.remember("name", {"a": 1})
    with store.stage() as staging:
        store.keep(staging.add("kept", sample_weights("kept")), ContentHash(sample_sha256("kept")))
    return store


def entry(store: Store, name: str = "a") -> Path:
    found = store.get(sample_key(name))
    assert found is not None
    return found.path


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_sound_cache_has_nothing_wrong(store: Store) -> None:
    assert list(unsound(store, expected={sample_key("a"): sample_sha256("a")})) == []
    assert list(rubbish(store)) == []


@pytest.mark.parametrize("file", ["entry.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["removed", "cut", "flipped"])
def test_damage_to_an_entry_is_found(store: Store, file: str, damage: str) -> None:
    path = entry(store) / file
    if damage == "removed":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        flip(path, path.stat().st_size // 2)
    assert len(list(unsound(store))) == 1


def test_an_entry_of_other_bytes_than_expected_is_found(store: Store) -> None:
    [wrong] = unsound(store, expected={sample_key("a"): sample_sha256("b")})
    assert "other bytes" in wrong


def test_what_is_no_entry_among_the_entries_is_found(store: Store) -> None:
    (entry(store).parent / "half").mkdir()
    assert len(list(unsound(store))) == 1


def test_a_damaged_ref_and_a_damaged_original_are_found(store: Store) -> None:
    [ref] = (path for path in (store.root / "v1" / "refs").rglob("*") if path.is_file())
    ref.write_bytes(ref.read_bytes()[:-9])
    assert len(list(unsound(store))) == 1
    [(_, kept)] = store.kept_checkpoints()
    flip(kept, 100)
    assert len(list(unsound(store))) == 2


@pytest.mark.parametrize("place", ["tmp/x/weights", "leases/x", "leases/key/x", "locks/x.holder"])
def test_rubbish_is_found(store: Store, place: str) -> None:
    path = store.root / "v1" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert any(path.name in left for left in rubbish(store))


def refused(error: Exception) -> Ended:
    def work(_: object) -> None:
        raise error

    return in_a_child(work)


def test_a_refusal_is_one_clear_error_of_ours_that_says_what_it_must(tmp_path: Path) -> None:
    full = CacheNotWritableError("no space is left. Name another folder with DEPTHHUB_CACHE.", path=tmp_path)
    assert wrong_with_refusal(refused(full), "DEPTHHUB_CACHE") is None
    assert "does not say" in str(wrong_with_refusal(refused(full), "DEPTHHUB_CACHE", "quota"))
    assert "OSError" in str(wrong_with_refusal(refused(OSError(28, "No space left on device"))))
    assert "hung" in str(wrong_with_refusal(in_a_child(lambda _: time.sleep(60), seconds=0.1)))
    assert wrong_with_refusal(in_a_child(lambda _: "worked")) is not None


@pytest.mark.parametrize(
    ("code", "err", "sound"),
    [
        (8, "depthhub: error: no space. DEPTHHUB_CACHE", True),
        (8, "depthhub: error: no space.", False),
        (8, "Traceback (most recent call last): DEPTHHUB_CACHE", False),
        (0, "DEPTHHUB_CACHE", False),
        (-9, "DEPTHHUB_CACHE", False),
    ],
)
def test_a_refused_command_has_a_code_and_no_traceback(code: int, err: str, sound: bool) -> None:
    ended = in_a_child(lambda _: Said(code=code, out="", err=err))
    assert (wrong_with_refusal(ended, "DEPTHHUB_CACHE") is None) == sound


def test_only_the_right_bytes_are_a_success() -> None:
    known = Known(key=sample_key("a"), sha256="1", model="2")
    assert succeeded(in_a_child(lambda _: "1"), known)
    assert succeeded(in_a_child(lambda _: "2"), known)
    assert not succeeded(in_a_child(lambda _: "3"), known)
    assert not succeeded(refused(OSError()), known)
    assert not succeeded(in_a_child(lambda _: Said(code=1, out="", err="")), known)


def test_a_child_that_hangs_is_ended_and_told() -> None:
    began = time.monotonic()
    ended = in_a_child(lambda _: time.sleep(60), seconds=0.2)
    assert (ended.how, time.monotonic() - began < 10) == ("hung", True)
    assert "hung" in str(ended)


def test_a_child_tells_where_it_is_and_what_became_of_it() -> None:
    def work(tell: object) -> str:
        tell("first")  # type: ignore[operator]
        tell("second")  # type: ignore[operator]
        return "x" * 200_000

    ended = in_a_child(work)
    assert (ended.how, len(ended.value), ended.last_mark) == ("done", 200_000, "second")
    failed = in_a_child(lambda _: 1 / 0)
    assert (failed.how, type(failed.value)) == ("raised", ZeroDivisionError)
    died = in_a_child(lambda _: os.kill(os.getpid(), signal.SIGKILL))
    assert died.how == "killed"


def test_a_child_is_killed_where_it_was() -> None:
    def work(tell: object) -> None:
        tell("at work")  # type: ignore[operator]
        time.sleep(60)

    child = Child(work)
    assert child.wait_for("at work")
    ended = child.kill()
    assert (ended.how, ended.last_mark) == ("killed", "at work")


def test_many_children_end_in_their_order_and_a_slow_reader_makes_none_hang() -> None:
    works = [lambda _, n=n: n for n in range(20)]
    for number, ended in enumerate(many(works, at_once=5, seconds=1.0)):
        if number == 0:
            time.sleep(1.2)
        assert (ended.how, ended.value) == ("done", number)


def test_processes_begin_together() -> None:
    times = [ended.value for ended in together([lambda _: time.monotonic()] * 5, seconds=10)]
    assert max(times) - min(times) < 1


def test_the_file_system_of_a_folder_is_named(tmp_path: Path) -> None:
    assert file_system_of(Path("/proc")) in ("proc", "not known")
    assert file_system_of(tmp_path)


def test_inputs_that_are_made_of_inputs_stop_growing(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [0]

    def parse(data: bytes) -> None:
        sizes.append(len(data))
        if len(data) > 1:  # at another line each time, so that the input is kept
            exec(compile("\n" * len(sizes) + "raise ValueError", "parser.py", "exec"))

    monkeypatch.setattr(fuzz, "_LARGEST", 1000)
    doubling = Target(
        name="x", share=0, sound=[b"x"], change=lambda _, pool: pool[-1] * 2, parse=parse, refusals=(ValueError,)
    )
    fuzz.fuzz(doubling, 15, random.Random(1))
    assert max(sizes) == 1000
