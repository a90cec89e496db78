"""Partial files that a killed process left behind save their bytes, and can do no harm."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from depthhub.errors import IntegrityError
from depthhub.testing import Fault

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def seed(download, tmp_path):
    def make(content: bytes, name: str = "seed.part"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


def test_only_the_rest_is_asked_for(download, seed):
    part = seed(download.weights[:700_000])
    assert download(seed=[part]) == download.remote.sha256
    assert download.content == download.weights
    assert download.ranges == ["bytes=700000-"]
    assert part.read_bytes() == download.weights[:700_000]


def test_a_whole_one_costs_no_request(download, seed):
    assert download(seed=[seed(download.weights)]) == download.remote.sha256
    assert download.content == download.weights
    assert download.asked == []


def test_the_longest_one_is_taken(download, seed):
    parts = [seed(download.weights[:size], f"{size}.part") for size in (10_000, 600_000, 300_000)]
    assert download(seed=parts) == download.remote.sha256
    assert download.ranges == ["bytes=600000-"]


@pytest.mark.parametrize("size", [500_000, None], ids=["a part", "the whole"])
def test_a_poisoned_one_costs_a_second_try_from_the_first_byte(download, seed, size):
    poison = bytes([download.weights[0] ^ 1]) + download.weights[1:size]
    assert download(seed=[seed(poison)]) == download.remote.sha256
    assert download.content == download.weights
    assert download.ranges == (["bytes=500000-", None] if size else [None])


def test_a_poisoned_one_and_a_damaged_file_end_after_the_second_try(download, seed, local_hub):
    local_hub.inject(Fault.corrupted(at=900_000), times=None)
    with pytest.raises(IntegrityError):
        download(seed=[seed(download.weights[:500_000])])
    assert download.ranges == ["bytes=500000-", None]
    assert download.left == 0


def test_one_that_is_longer_than_the_file_is_left_alone(download, seed):
    assert download(seed=[seed(download.weights + b"more")]) == download.remote.sha256
    assert download.ranges == [None]


def test_one_that_is_gone_or_cannot_be_read_is_left_alone(download, seed, tmp_path):
    folder = tmp_path / "folder.part"
    folder.mkdir()
    (folder / "file").touch()
    unreadable = seed(download.weights[:700_000])
    unreadable.chmod(0)
    seeds = [tmp_path / "gone.part", folder, *([unreadable] if _permissions_bind() else [])]
    assert download(seed=seeds) == download.remote.sha256
    assert download.ranges == [None]


def test_one_for_a_file_without_a_digest_is_left_alone(download, seed):
    other = seed(b"x" * len(download.weights))
    assert download(replace(download.remote, sha256=None), seed=[other]) == download.remote.sha256
    assert download.ranges == [None]


def test_a_server_without_ranges_makes_it_useless_and_nothing_else(download, seed, local_hub):
    local_hub.inject(Fault.refuse_ranges())
    assert download(seed=[seed(download.weights[:700_000])]) == download.remote.sha256
    assert download.content == download.weights


def _permissions_bind() -> bool:
    """Not for root, and not on Windows."""
    return hasattr(os, "geteuid") and os.geteuid() != 0
