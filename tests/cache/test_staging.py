"""A staged file knows the size and the sha256 of what is in it, however it was written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
