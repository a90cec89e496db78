"""What a fresh process is told to do, it does, and its facts come back."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import fresh, page_cache
from bench.fresh import Job

STEPS = ("memory:base", "imports", "run", "imported", "memory:done")


@pytest.fixture
def hashing(tmp_path: Path) -> Job:
    file = tmp_path / "some.pth"
    file.write_bytes(b"some bytes" * 10_000)
    return Job(program="hash_file", given={"checkpoint": str(file)}, files=[file], steps=STEPS)


def test_the_steps_are_timed_and_the_facts_come_back(hashing: Job, tmp_path: Path) -> None:
    facts = fresh.run(hashing, folder=tmp_path)
    assert 0 < facts["run"] < 10
    assert facts["interpreter"] > 0
    assert "bench.programs.hash_file" in facts["imported"]
    assert "torch" not in facts["imported"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_memory_and_page_cache_are_told(hashing: Job, tmp_path: Path) -> None:
    facts = fresh.run(hashing, folder=tmp_path)
    assert facts["resident"] == 1
    assert 0 < facts["base private"] <= facts["base rss"]
    assert facts["done peak"] >= facts["base rss"]


def test_a_program_that_fails_says_why(hashing: Job, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        fresh.run(replace(hashing, given={"checkpoint": str(tmp_path / "missing")}), folder=tmp_path)
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        fresh.together(
            replace(hashing, given={"checkpoint": str(tmp_path / "missing")}, steps=("imports", "run", "wait")),
            2,
            folder=tmp_path,
        )


def test_several_wait_for_each_other(hashing: Job, tmp_path: Path) -> None:
    found = fresh.together(replace(hashing, steps=("imports", "wait", "run", "wait")), 3, folder=tmp_path)
    assert [sorted(facts) for facts in found] == [sorted(found[0])] * 3
    assert all(facts["run"] > 0 for facts in found)


def test_an_empty_cache_is_gone_afterwards(hashing: Job, tmp_path: Path) -> None:
    job = replace(hashing, program="copy_file", fresh_cache=True)
    fresh.run(job, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["some.pth"]


def test_nobodys_settings_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEPTHHUB_MAP_WEIGHTS", "HF_TOKEN", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "1")
    environment = fresh.environment({"DEPTHHUB_CACHE": "/nowhere"})
    assert environment["DEPTHHUB_CACHE"] == "/nowhere"
    assert environment["PATH"] == os.environ["PATH"]
    assert not {"DEPTHHUB_MAP_WEIGHTS", "HF_TOKEN", "PYTHONDONTWRITEBYTECODE"} & set(environment)


@pytest.mark.skipif(sys.platform != "linux", reason="mincore and posix_fadvise as Linux has them")
def test_what_was_read_is_in_the_page_cache(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(1 << 20))
    page_cache.drop(file)  # on a file system in memory it stays
    page_cache.warm(file)
    assert page_cache.resident(file) == 1
