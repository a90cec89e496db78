"""A remote that is a mounted folder, with all that can be in a folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub_cache.errors import RemoteError
from depthhub_cache.owner import Owner
from depthhub_cache.store import Store

from ..children import in_a_child, needs_fork
from ..samples import publish, weights_of
from .places import FolderShelf, fetched, record_name, remote_at, weights_name

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and pipes of another kind")


def test_a_folder_that_is_not_mounted_is_not_an_empty_remote(store: Store, another: Store, tmp_path: Path) -> None:
    entry, remote = publish(store, "vits"), remote_at(str(tmp_path / "not mounted"))
    for ask in (lambda: remote.record(entry.key), lambda: fetched(remote, entry, another), lambda: remote.push(entry)):
        with pytest.raises(RemoteError, match=r"there is no such folder\. Mount it, or make it\."):
            ask()
    assert not (tmp_path / "not mounted").exists()


@needs_fork
def test_a_folder_that_is_only_read_serves_and_takes_nothing(
    open_folder: Path, store: Store, another: Store, umask: Callable[[int], int]
) -> None:
    umask(0o022)
    folder = open_folder / "remote"
    folder.mkdir()
    one = publish(store, "vits")
    remote_at(str(folder)).push(one)
    folder.chmod(0o555)

    def as_nobody() -> tuple[bool, str]:
        mine = Store(open_folder / "mine")
        there = fetched(remote_at(str(folder)), one, mine)
        try:
            remote_at(str(folder)).push(publish(mine, "vitb"))
        except RemoteError as error:
            return there is not None, str(error)
        return there is not None, ""

    open_folder.chmod(0o777)
    served, said = in_a_child(as_nobody, as_nobody=True)
    assert served
    assert "permission denied. Nothing was put there" in said
    assert "DEPTHHUB_CACHE" not in said
    assert sorted(path.name for path in folder.iterdir()) == sorted([record_name(one), weights_name(one)])


def test_a_full_disk_is_told_and_leaves_nothing(mount: Callable[[str], Path], store: Store) -> None:
    small = mount("size=1m")
    with pytest.raises(RemoteError, match="no space left on device"):
        remote_at(str(small)).push(publish(store, "vitl", data=weights_of("vitl", 3_000_000)))
    assert list(small.iterdir()) == []
    assert remote_at(str(small)).push(publish(store, "vits")) == "pushed"


@posix
@pytest.mark.parametrize("name", [record_name, weights_name])
def test_what_is_no_file_is_not_read(
    name: Callable[..., str], folder: FolderShelf, store: Store, another: Store
) -> None:
    entry, remote = publish(store, "vits"), remote_at(folder.url)
    remote.push(entry)
    folder.remove(name(entry))
    os.mkfifo(folder.folder / name(entry))
    began = time.monotonic()
    with pytest.raises(RemoteError, match="is not a file"):
        fetched(remote, entry, another)
    assert time.monotonic() - began < 1
    folder.remove(name(entry))
    (folder.folder / name(entry)).mkdir()
    with pytest.raises(RemoteError, match="is a directory"):
        fetched(remote, entry, another)
    with pytest.raises(RemoteError, match="directory"):
        remote.push(entry)


def test_what_killed_processes_have_left_goes_when_it_is_old(folder: FolderShelf, store: Store) -> None:
    entry = publish(store, "vits")
    old, young = (folder.folder / f"{weights_name(entry)}.host-1-2-0000000{n}.part" for n in (1, 2))
    for part in (old, young, folder.folder / "of somebody else.part"):
        part.write_bytes(b"half")
        os.utime(part, (0, time.time() - (25 if part is old else 1) * 3600))
    remote_at(folder.url).push(entry)
    assert sorted(folder.names()) == sorted(
        [record_name(entry), weights_name(entry), young.name, "of somebody else.part"]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="pids of another kind")
def test_what_processes_have_left_that_are_surely_gone_goes_with_the_next_push_of_anything(
    folder: FolderShelf, store: Store
) -> None:
    entry, mine = publish(store, "vits"), Owner.current()
    killed, alive = (
        folder.folder / f"{weights_name(publish(store, 'vitb'))}.{owner.unique_name()}.part"
        for owner in (mine._replace(pid=2**22 + 1), mine)
    )
    for part in (killed, alive):
        part.write_bytes(b"half")
        os.utime(part, (0, time.time() - 25 * 3600))
    killed.touch()
    remote_at(folder.url).push(entry)
    assert sorted(folder.names()) == sorted([record_name(entry), weights_name(entry), alive.name])
