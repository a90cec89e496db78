"""Whatever hangs, whoever waits is told in time, and nothing that was left behind does any harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from depthhub_cache.identity import ContentHash
from depthhub_cache.remote.errands import Errands, Limits
from depthhub_cache.remote.place import NotThere, Pieces, Place, Trouble
from depthhub_cache.store import Store

from ..children import answer_of, in_a_child, needs_fork, wait_until
from ..samples import key_of, publish
from .places import BucketShelf, fetched, objects_of, remote_at
from .test_pushers import worker
from .web import Web, silent

LIMITS = Limits(connect=0.1, stall=0.4, total=5.0)


class Slow:
    """A place that takes its time. taken: what was asked for."""

    def __init__(self, seconds: float = 0.0, pieces: int = 3) -> None:
        self.seconds = seconds
        self.pieces = pieces
        self.given = 0
        self.ended = threading.Event()
        self.closed = threading.Event()

    def read(self, name: str) -> Iterator[bytes]:
        try:
            for _ in range(self.pieces):
                time.sleep(self.seconds)
                self.given += 1
                yield b"piece"
        finally:
            self.ended.set()

    def size(self, name: str) -> int | None:
        time.sleep(self.seconds)
        return 0

    def put(self, name: str, pieces: Pieces, sha256: ContentHash, *, over: bool) -> Iterator[int]:
        raise AssertionError

    def close(self) -> None:
        time.sleep(self.seconds)
        self.closed.set()


def test_what_comes_in_time_comes_whole_and_the_place_is_closed() -> None:
    place = Slow()
    with Errands(lambda: place, LIMITS) as remote:
        assert list(remote.each(lambda p: p.read("x"))) == [b"piece"] * 3
        assert remote.ask(lambda p: p.size("x")) == 0
    assert place.closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("depthhub-remote")]


def test_a_place_that_hangs_is_left_in_time() -> None:
    place = Slow(2.0)
    began = time.monotonic()
    with pytest.raises(Trouble, match=r"nothing came for 0\.5 s"), Errands(lambda: place, LIMITS) as remote:
        remote.ask(lambda p: p.size("x"))
    assert time.monotonic() - began < 1.5


def test_a_place_that_cannot_be_opened_is_left_in_time() -> None:
    def never() -> Place:
        time.sleep(2.0)
        return Slow()

    with pytest.raises(Trouble, match="nothing came"), Errands(never, LIMITS) as remote:
        remote.ask(lambda p: p.size("x"))


def test_who_is_left_behind_gives_nothing_more_and_closes_the_door() -> None:
    place = Slow(0.8)
    with pytest.raises(Trouble, match="nothing came"), Errands(lambda: place, LIMITS) as remote:
        list(remote.each(lambda p: p.read("x")))
    assert place.ended.wait(2)
    assert place.closed.wait(2)
    assert place.given == 1


def test_who_takes_no_more_stops_the_reading() -> None:
    place = Slow(pieces=10**9)
    with Errands(lambda: place, LIMITS) as remote:
        for piece in remote.each(lambda p: p.read("x")):
            assert piece == b"piece"
            break
        assert remote.ask(lambda p: p.size("x")) == 0  # it goes on with the next
    assert place.ended.is_set()
    assert place.given < 10


def test_no_more_is_read_ahead_than_a_few_pieces() -> None:
    place = Slow(pieces=100)
    with Errands(lambda: place, LIMITS) as remote:
        pieces = remote.each(lambda p: p.read("x"))
        next(pieces)
        time.sleep(0.1)
        assert place.given < 8
        assert len(list(pieces)) == 99


def test_one_that_never_stalls_ends_at_the_limit_of_the_whole() -> None:
    place = Slow(0.05, pieces=10**9)
    began = time.monotonic()
    limits = LIMITS._replace(total=0.5)
    with pytest.raises(Trouble, match=r"not done after 0\.5 s"), Errands(lambda: place, limits) as remote:
        list(remote.each(lambda p: p.read("x")))
    assert time.monotonic() - began < 2


def test_answers_and_troubles_pass_and_all_else_is_told_in_our_words() -> None:
    def raising(error: Exception) -> Iterator[bytes]:
        raise error
        yield b""

    for error, expected in (
        (NotThere(), NotThere),
        (Trouble("why"), Trouble),
        (PermissionError(13, "the key is geheim", "https://geheim@host"), Trouble),
        (RuntimeError("https://geheim@host"), Trouble),
    ):
        with pytest.raises(expected) as raised, Errands(Slow, LIMITS) as remote:
            list(remote.each(lambda p, error=error: raising(error)))
        assert "geheim" not in str(raised.value)
        assert raised.value.__cause__ is raised.value.__context__ is None


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("command", ["hang", "hang_at_its_name"])
def test_a_process_that_was_told_ends_at_once(command: str, web: Web, store: Store) -> None:
    web.answers[""] = silent
    url = web.url if command == "hang" else "http://models.invalid"
    asking = worker(command, url, store.root, key_of("vits"))
    began = time.monotonic()
    assert answer_of(asking) in ("it did not answer in time", "nothing came for 1 s")
    assert time.monotonic() - began < 10  # imports and all; it would be 60


@needs_fork
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_forked_child_asks_for_itself(bucket: BucketShelf, store: Store, another: Store, web: Web) -> None:
    entry = publish(store, "vits")
    web.files = {f"/{name}": data for name, data in objects_of(entry).items()}
    for url in (bucket.url, web.url):
        remote = remote_at(url)
        remote.record(entry.key)
    remote_at(bucket.url).push(entry)
    for url in (bucket.url, web.url):
        remote = remote_at(url)
        assert remote.record(entry.key) == entry.record
        assert in_a_child(lambda remote=remote: remote.record(entry.key)) == entry.record
        assert fetched(remote, entry, another)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_no_thread_stays_when_all_went_well(bucket: BucketShelf, store: Store, another: Store) -> None:
    entry, remote = publish(store, "vits"), remote_at(bucket.url)
    remote.push(entry)
    fetched(remote, entry, another)
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith(("depthhub-remote", "fsspec"))])
