"""What is pushed is what is fetched, wherever it lies meanwhile."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from depthhub_cache.errors import BrokenEntryError, CacheError, NoSpaceError, RemoteError
from depthhub_cache.record import Record
from depthhub_cache.store import Store

from ..samples import files_under, key_of, publish, weights_of
from .places import LARGE, Shelf, fetched, objects_of, record_name, remote_at, weights_name

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_what_was_pushed_is_fetched_by_another_machine(shelf: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vits", source="vits")
    remote = remote_at(shelf.url)
    assert remote.record(entry.key) is None
    assert fetched(remote, entry, another) is None
    assert remote.push(entry) == "pushed"
    assert remote.record(entry.key) == entry.record
    there = fetched(remote, entry, another)
    assert there is not None
    assert there.record == entry.record
    assert there.weights.read_bytes() == entry.weights.read_bytes()
    assert another.get(entry.key) == there
    assert list((another.root / "v1" / "tmp").iterdir()) == []


def test_it_lies_there_flat_as_two_plain_files(shelf: Shelf, store: Store) -> None:
    entry = publish(store, "vits")
    remote_at(shelf.url).push(entry)
    assert {name: shelf.get(name) for name in shelf.names()} == objects_of(entry)


def test_what_is_there_is_not_sent_again(shelf: Shelf, store: Store) -> None:
    entry = publish(store, "vits")
    told: list[tuple[int, int]] = []
    remote = remote_at(shelf.url)
    assert remote.push(entry, progress=lambda done, total: told.append((done, total))) == "pushed"
    assert told[-1] == (entry.record.weights_size, entry.record.weights_size)
    told.clear()
    assert remote.push(entry, progress=lambda done, total: told.append((done, total))) == "was there"
    assert told == []


def test_two_entries_of_the_same_numbers_share_their_weights(folder: Shelf, store: Store, another: Store) -> None:
    one, other = publish(store, "vits", data=weights_of("same")), publish(store, "alias", data=weights_of("same"))
    remote = remote_at(folder.url)
    assert [remote.push(one), remote.push(other)] == ["pushed", "pushed"]
    assert folder.names() == sorted([record_name(one), record_name(other), weights_name(one)])
    for entry in (one, other):
        there = fetched(remote, entry, another)
        assert there is not None
        assert there.record == entry.record


def test_large_weights_come_whole_and_progress_is_told(folder: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vitl", data=weights_of("vitl", LARGE))
    size = entry.record.weights_size
    sent: list[int] = []
    came: list[int] = []
    remote_at(folder.url).push(entry, progress=lambda done, total: sent.append(done))
    there = remote_at(folder.url).fetch(
        entry.key, another, check=lambda record: None, progress=lambda done, total: came.append(done)
    )
    assert there is not None
    another.verify(there, deep=True)
    for told in (sent, came):
        assert told == sorted(told)
        assert len(told) >= 3
        assert told[-1] == size


def test_of_two_that_push_other_bytes_the_first_is_kept_and_both_are_whole(
    shelf: Shelf, store: Store, another: Store, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = publish(store, "vits"), publish(another, "vits", data=weights_of("another run"))
    remote = remote_at(shelf.url)
    assert [remote.push(first), remote.push(first)] == ["pushed", "was there"]
    assert caplog.text == ""
    seen: list[Record] = []
    assert remote.push(second, check=seen.append) == "was there"
    assert seen == [first.record]
    assert f"has entry {first.key[:12]} with other bytes than here; they stay" in caplog.text
    assert remote.record(first.key) == first.record


def test_what_another_put_there_while_the_weights_went_up_stays(store: Store, another: Store, tmp_path: Path) -> None:
    mine, other = publish(store, "vits"), publish(another, "vits", data=weights_of("another run"))
    remote = remote_at(str(tmp_path))

    def meanwhile(*_: object) -> None:
        if remote.record(mine.key) is None:
            assert remote.push(other) == "pushed"

    assert remote.push(mine, progress=meanwhile) == "was there"
    assert remote.record(mine.key) == other.record


def test_a_record_is_put_behind_its_weights(shelf: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vitl", data=weights_of("vitl", LARGE))
    remote = remote_at(shelf.url)

    def look(done: int, total: int) -> None:
        assert remote.record(entry.key) is None
        assert record_name(entry) not in shelf.names()

    remote.push(entry, progress=look)
    assert fetched(remote, entry, another)


@pytest.mark.parametrize("where", ["at its start", "in its middle", "at its end", "it is too short"])
def test_a_damaged_entry_is_never_pushed(folder: Shelf, store: Store, where: str) -> None:
    entry = publish(store, "vitl", data=weights_of("vitl", 100_000))
    data = bytearray(entry.weights.read_bytes())
    if where == "it is too short":
        data.pop()
    else:
        data[{"at its start": 30, "in its middle": 60_000, "at its end": -1}[where]] ^= 1
    entry.weights.write_bytes(data)
    with pytest.raises(BrokenEntryError):
        remote_at(folder.url).push(entry)
    assert folder.names() == []


def test_an_entry_that_changes_while_it_is_pushed_is_not_there(folder: Shelf, store: Store) -> None:
    entry = publish(store, "vitl", data=weights_of("vitl", LARGE))

    def spoil(done: int, total: int) -> None:
        with entry.weights.open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"?")

    with pytest.raises(BrokenEntryError, match="changed while it was pushed"):
        remote_at(folder.url).push(entry, progress=spoil)
    assert folder.names() == []


def test_an_entry_that_is_gone_is_not_pushed(folder: Shelf, store: Store) -> None:
    entry = publish(store, "vits")
    store.remove(entry.key)
    with pytest.raises(BrokenEntryError):
        remote_at(folder.url).push(entry)
    assert folder.names() == []


def test_an_entry_of_another_kind_is_not_pushed(folder: Shelf, store: Store) -> None:
    with store.stage() as staging:
        staging.add("weights.bin", b"numbers, or something that runs")
        entry = store.publish(key_of("vits"), staging, weights="weights.bin", about={})
    with pytest.raises(CacheError, match=r"weights\.bin"):
        remote_at(folder.url).push(entry)
    assert folder.names() == []


def test_weights_of_the_wrong_size_are_put_again(shelf: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vits")
    shelf.put(weights_name(entry), entry.weights.read_bytes()[:-7])
    assert remote_at(shelf.url).push(entry) == "pushed"
    assert fetched(remote_at(shelf.url), entry, another)
    shelf.put(weights_name(entry), entry.weights.read_bytes()[:-7])
    another.remove(entry.key)
    with pytest.raises(RemoteError, match="ended after"):
        fetched(remote_at(shelf.url), entry, another)
    assert remote_at(shelf.url).push(entry) == "pushed"
    assert fetched(remote_at(shelf.url), entry, another)


@pytest.mark.parametrize("text", [b"", b"{", b"<html>sign in</html>", b"x" * (2 << 20)])
def test_a_record_that_is_none_is_put_again(folder: Shelf, store: Store, another: Store, text: bytes) -> None:
    entry = publish(store, "vits")
    remote = remote_at(folder.url)
    folder.put(record_name(entry), text)
    with pytest.raises(RemoteError, match="is no record of it"):
        remote.record(entry.key)
    assert remote.push(entry) == "pushed"
    assert {name: folder.get(name) for name in folder.names()} == objects_of(entry)


def test_a_record_whose_weights_are_gone_is_said_to_be_broken_and_is_mended(
    shelf: Shelf, store: Store, another: Store
) -> None:
    entry = publish(store, "vits")
    remote = remote_at(shelf.url)
    remote.push(entry)
    shelf.remove(weights_name(entry))
    with pytest.raises(RemoteError, match=r"has the record, and not .*Push the entry again"):
        fetched(remote, entry, another)
    assert files_under(another.root / "v1") == {}
    assert remote.push(entry) == "pushed"
    assert fetched(remote, entry, another)


def test_wrong_bytes_of_the_right_size_are_never_published(shelf: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vits")
    remote_at(shelf.url).push(entry)
    shelf.put(weights_name(entry), weights_of("vitx"))
    with pytest.raises(RemoteError, match=r"has sha256 \w{64}") as raised:
        fetched(remote_at(shelf.url), entry, another)
    assert raised.value.key == entry.key
    assert files_under(another.root / "v1") == {}


def test_the_record_of_another_entry_is_refused(folder: Shelf, store: Store, another: Store) -> None:
    entry, other = publish(store, "vits"), publish(store, "vitb")
    remote = remote_at(folder.url)
    remote.push(entry)
    folder.put(record_name(other), folder.get(record_name(entry)))
    with pytest.raises(RemoteError, match=f"its key is {entry.key}"):
        fetched(remote, other, another)


@pytest.mark.parametrize(
    "change",
    [{"weights": "weights.pth"}, {"weights": "x.safetensors"}, {"header_sha256": None}, {"header_sha256": "0" * 64}],
)
def test_a_sealed_record_of_another_kind_of_weights_is_refused(
    folder: Shelf, store: Store, another: Store, change: dict[str, object]
) -> None:
    entry = publish(store, "vits")
    for name, data in objects_of(entry, entry.record._replace(**change)).items():  # type: ignore[arg-type]
        folder.put(name, data)
    with pytest.raises(RemoteError):
        fetched(remote_at(folder.url), entry, another)
    assert files_under(another.root / "v1") == {}


def test_a_record_in_other_words_is_refused(folder: Shelf, store: Store) -> None:
    entry = publish(store, "vits")
    facts = entry.record.to_bytes().replace(b'"schema": 1,', b'"schema": 1, "more": 2,')
    import json

    from depthhub_cache.sealed import seal

    del (loaded := json.loads(facts))["sha256"]
    folder.put(record_name(entry), seal(loaded))
    with pytest.raises(RemoteError, match="other words"):
        remote_at(folder.url).record(entry.key)


def test_who_refuses_the_record_gets_no_weights(shelf: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vits")
    remote_at(shelf.url).push(entry)
    shelf.remove(weights_name(entry))  # it would be missed

    def refuse(record: Record) -> None:
        assert record == entry.record
        raise PermissionError("not locked")

    with pytest.raises(PermissionError, match="not locked"):
        remote_at(shelf.url).fetch(entry.key, another, check=refuse)
    assert files_under(another.root / "v1") == {}


def test_without_room_no_weights_are_fetched(folder: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vits")
    folder.put(record_name(entry), entry.record._replace(weights_size=1 << 60).to_bytes())
    with pytest.raises(NoSpaceError):
        fetched(remote_at(folder.url), entry, another)
    assert files_under(another.root / "v1") == {}


def test_cancelling_leaves_nothing(shelf: Shelf, store: Store, another: Store) -> None:
    entry = publish(store, "vitl", data=weights_of("vitl", LARGE))

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remote_at(shelf.url).push(entry, progress=cancel)
    assert record_name(entry) not in shelf.names()
    remote_at(shelf.url).push(entry)
    with pytest.raises(KeyboardInterrupt):
        remote_at(shelf.url).fetch(entry.key, another, check=lambda record: None, progress=cancel)
    assert files_under(another.root / "v1") == {}


def test_an_entry_that_is_here_by_now_is_adopted(
    folder: Shelf, store: Store, another: Store, caplog: pytest.LogCaptureFixture
) -> None:
    entry, here = publish(store, "vits"), publish(another, "vits", data=weights_of("another run"))
    remote_at(folder.url).push(entry)
    with caplog.at_level(logging.WARNING):
        assert fetched(remote_at(folder.url), entry, another) == here
    assert "different bytes" in caplog.text


def test_nothing_that_only_a_remote_needs_is_imported_for_a_store() -> None:
    code = "import sys, depthhub_cache.store; print([m for m in sys.modules if m.startswith(('fsspec', 'asyncio'))])"
    assert _said_by_python(code) == "[]"
    code = "import sys, depthhub_cache.remote; print([m for m in sys.modules if m.startswith(('fsspec', 'asyncio'))])"
    assert _said_by_python(code) == "[]"


def test_a_mounted_folder_needs_no_fsspec(store: Store, folder: Shelf, tmp_path: Path) -> None:
    entry = publish(store, "vits")
    remote_at(folder.url).push(entry)
    code = (
        "import sys; from pathlib import Path; from depthhub_cache.remote import RemoteStore\n"
        "from depthhub_cache.store import Store\n"
        f"remote = RemoteStore({folder.url!r}, connect_timeout=1, stall_timeout=1, total_timeout=9)\n"
        f"remote.fetch({entry.key!r}, Store(Path({str(tmp_path / 'c')!r})), check=lambda record: None).weights.stat()\n"
        "print([m for m in sys.modules if m.startswith(('fsspec', 'asyncio'))])"
    )
    assert _said_by_python(code) == "[]"


def _said_by_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout.strip()
