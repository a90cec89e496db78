"""A staged file knows the size and the sha256 of what is in it, however it was written."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache import staging
from depthhub_cache.errors import CacheNotWritableError
from depthhub_cache.staging import StagedFile, Staging
from depthhub_cache.store import Store

from .samples import hash_of, memory_folder


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=50) | st.just("restart"), max_size=12))
def test_size_and_sha256_are_those_of_the_file(steps: list[bytes | str]) -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        staged = StagedFile(Path(folder) / "file")
        expected = b""
        for step in steps:
            if isinstance(step, str):
                staged.restart()
                expected = b""
            else:
                assert staged.write(step) == len(step)
                expected += step
            assert (staged.size, staged.sha256()) == (len(expected), hash_of(expected))
        staged.finish()
        staged.close()
        assert staged.path.read_bytes() == expected


def test_large_and_strangely_shaped_memory_is_written_whole(store: Store) -> None:
    data = os.urandom(9 << 20)
    with store.stage() as staging:
        with staging.file("file") as staged:
            assert staged.write(memoryview(data).cast("H", (3, 3 << 19))) == len(data)
            assert staged.write(memoryview(b"").cast("B")) == 0
        assert staged.path.read_bytes() == data
        assert staged.sha256() == hash_of(data)


def test_what_the_disk_refused_once_can_never_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux tells an error of writing back once: the next sync succeeds, whatever was lost."""
    monkeypatch.setattr(staging, "_SYNCED", 1 << 20)
    sync, calls = os.fsync, list[int]()

    def failing_once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing_once)
    staged = StagedFile(tmp_path / "file")
    staged.write(bytes(8 << 20))
    for attempt in (staged.finish, lambda: staged.write(bytes(2 << 20)), staged.restart, staged.finish):
        with suppress(CacheNotWritableError):
            attempt()
        assert not staged.finished
    with pytest.raises(CacheNotWritableError, match="Input/output error"):
        staged.finish()
    assert len(calls) == 1, "it was told while more was written"
    staged.close()


def test_a_last_sync_that_failed_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = StagedFile(tmp_path / "file")
    staged.write(b"small")

    def failing(descriptor: int) -> None:
        monkeypatch.undo()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(CacheNotWritableError, match="Input/output error"):
        staged.finish()
    with pytest.raises(ValueError, match="closed file"):
        staged.finish()
    assert not staged.finished


def test_what_is_written_after_a_restart_is_brought_to_the_disk_meanwhile_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_SYNCED", 2 << 20)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    staged = StagedFile(tmp_path / "file")
    for size in (16, 8):
        synced.clear()
        for _ in range(size):
            staged.write(bytes(1 << 20))
            time.sleep(0.01)
        assert synced
        staged.restart()
    staged.close()


def test_a_staged_file_never_takes_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of someone else")
    with pytest.raises(CacheNotWritableError):
        StagedFile(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "of someone else"


def test_a_second_file_of_the_same_name_begins_anew(store: Store) -> None:
    with store.stage() as staging:
        for data in (b"first attempt", b"second"):
            with staging.file("part") as staged:
                staged.write(data)
        assert staging.finished("part").path.read_bytes() == b"second"
        assert staging.finished("part").sha256() == hash_of(b"second")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".."])
def test_a_file_cannot_be_staged_elsewhere(store: Store, name: str) -> None:
    with store.stage() as staging, pytest.raises(ValueError, match="not a plain file name"), staging.file(name):
        pass


def test_no_two_staging_directories_are_the_same(tmp_path: Path) -> None:
    assert len({Staging(tmp_path).path for _ in range(100)}) == 100


def test_the_root_is_labelled_for_backups_and_people(store: Store) -> None:
    store.remember("x", {})
    tag = (store.root / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    assert "depthhub" in (store.root / "README").read_text()


def test_a_folder_that_holds_other_things_is_not_kept_out_of_backups(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    store = Store(tmp_path)
    store.remember("x", {})
    assert store.recall("x") == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex", "v1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_cannot_go_on_with_its_parents_file(store: Store) -> None:
    """Both have it open at one place: what both write is neither's."""
    with store.stage() as staging:
        with staging.file("file") as staged:
            staged.write(b"one ")
            child = os.fork()
            if child == 0:
                try:
                    staged.write(b"child")
                except CacheNotWritableError:
                    os._exit(7)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            staged.write(b"two")
        assert staged.path.read_bytes() == b"one two"


def test_a_file_that_somebody_else_wrote_to_is_never_finished(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path / "file")
    staged.write(b"one")
    with staged.path.open("ab") as other:
        other.write(b"other")
    with pytest.raises(CacheNotWritableError, match="has 8 bytes, and 3 were written"):
        staged.finish()
    assert not staged.finished


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("step", ["file", "gather", "place"])
def test_nor_can_it_make_another_file_in_its_parents_directory(store: Store, tmp_path: Path, step: str) -> None:
    with store.stage() as staging:
        with staging.file("file") as staged:
            staged.write(b"one")
        child = os.fork()
        if child == 0:
            try:
                if step == "file":
                    staging.add("file", b"child")
                elif step == "gather":
                    staging.gather("folder", {"file": staged.path})
                else:
                    staging.place("file", tmp_path / "file")
            except CacheNotWritableError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert staged.path.read_bytes() == b"one"
