"""A write that is needed and impossible is one clear error; reading goes on."""

from __future__ import annotations

import errno
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from depthhub_cache.errors import CacheError, CacheNotWritableError, DepthHubError
from depthhub_cache.refs import ref_path
from depthhub_cache.refusal import refusals
from depthhub_cache.staging import StagedFile
from depthhub_cache.store import Store

from .children import in_a_child, needs_fork
from .conftest import Mount
from .samples import files_under, hash_of, key_of, publish, weights_of

Write = Callable[[Store], object]

WRITES: dict[str, Write] = {
    "publish": lambda store: publish(store, "new"),
    "remember": lambda store: store.remember("new", {}),
    "forget": lambda store: store.forget("old"),
    "remove": lambda store: store.remove(key_of("old")),
}


def check_readable(store: Store) -> None:
    """What was published before can be used, and asked for what is missing the store says so."""
    entry = store.get(key_of("old"))
    assert entry is not None
    store.verify(entry, deep=True)
    assert store.recall("old") == {"a": 1}
    assert [entry.key for entry in store.entries()] == [key_of("old")]
    assert store.get(key_of("new")) is None
    assert store.recall("new") is None
    assert store.kept(hash_of(b"")) is None
    assert store.sweep() == 0
    assert store.usage().entries.count == 1
    assert store.remove(key_of("new")) == 0
    forgotten = (name for name in map(str, range(10_000)) if _place_of(name) == _place_of("old"))
    store.forget(next(forgotten))  # its folder is there, it is not
    with store.lock(key_of("new")) as held:
        assert held in (True, False)


def _place_of(name: str) -> str:
    return ref_path(Path(), name).parent.name


def check_refused(write: Write, store: Store, *, saying: str) -> None:
    before = files_under(store.root)
    with pytest.raises(CacheNotWritableError, match=saying) as caught:
        write(store)
    assert "DEPTHHUB_CACHE or cache_dir" in str(caught.value)
    assert str(caught.value.path) in str(caught.value)
    assert caught.value.path.is_relative_to(store.root)
    assert files_under(store.root) == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_read_only_file_system(mount: Mount, write: Write) -> None:
    root = mount("size=4m")
    store = Store(root)
    publish(store, "old")
    store.remember("old", {"a": 1})
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    check_readable(store)
    check_refused(write, store, saying="the file system is read-only")


@needs_fork
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_cache_of_another_user(open_folder: Path, write: Write) -> None:
    store = Store(open_folder / "cache")
    publish(store, "old")
    store.remember("old", {"a": 1})
    for folder in (path for path in store.root.rglob("*") if path.is_dir()):
        folder.chmod(0o555)
    in_a_child(lambda: check_readable(store), as_nobody=True)
    in_a_child(lambda: check_refused(write, store, saying="permission denied for the user with uid"), as_nobody=True)
    for folder in (path for path in store.root.rglob("*") if path.is_dir()):
        folder.chmod(0o755)


@pytest.mark.parametrize("place", ["cache", "", "cache/v1", "cache/v1/tmp", "cache/v1/entries"])
def test_a_file_where_a_folder_is_needed(tmp_path: Path, place: str) -> None:
    path = tmp_path / "parent" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    store = Store(tmp_path / "parent" / "cache")
    with pytest.raises(CacheNotWritableError, match="is in the way and is not a folder") as caught:
        publish(store, "new")
    assert f"{path} is in the way" in str(caught.value)
    assert path.read_text() == "a file"


def test_a_full_disk_at_every_byte(mount: Mount) -> None:
    root = mount("size=256k")
    store = Store(root / "cache")
    publish(store, "old")
    store.remember("old", {"a": 1})
    ballast = root / "ballast"
    errors = []
    for pages in range(60, 20, -1):
        ballast.write_bytes(b"")
        try:
            ballast.write_bytes(bytes(4096 * pages))
        except OSError:
            continue
        try:
            entry = publish(store, f"new {pages}", data=weights_of("x", 40_000))
        except CacheNotWritableError as error:
            errors.append(error)
        else:
            store.verify(entry, deep=True)
            break
        assert store.get(key_of(f"new {pages}")) is None
        check_readable(store)
        assert files_under(root / "cache" / "v1" / "tmp") == {}
    else:
        pytest.fail("never succeeded")
    assert len(errors) > 5
    for error in errors:
        assert "no space is left" in str(error)
        assert f"({error.free:,} bytes free)" in str(error)
        assert error.free is not None
        assert error.free < 60_000


def test_on_a_full_disk_an_entry_can_be_removed_to_make_room(mount: Mount) -> None:
    root = mount("size=256k")
    store = Store(root / "cache")
    publish(store, "old", data=weights_of("x", 100_000))
    with pytest.raises(OSError, match="No space"):
        (root / "ballast").write_bytes(bytes(1 << 20))
    with pytest.raises(CacheNotWritableError):
        publish(store, "new", data=weights_of("x", 50_000))
    assert store.remove(key_of("old")) > 100_000
    publish(store, "new", data=weights_of("x", 50_000))


def test_no_more_names_in_a_file_system_with_space(mount: Mount) -> None:
    root = mount("size=4m,nr_inodes=9")
    with pytest.raises(CacheNotWritableError, match="no space is left"):
        publish(Store(root / "cache"), "new")
    assert list(Store(root / "cache").entries()) == []


@needs_fork
@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_limit_on_the_size_of_files(store: Store) -> None:
    import resource

    def publish_large() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        publish(store, "new", data=weights_of("x", 20_000))

    with pytest.raises(CacheNotWritableError, match="larger than this process or file system allows"):
        in_a_child(publish_large)
    assert store.get(key_of("new")) is None


def test_a_staging_directory_that_was_removed_by_someone(store: Store) -> None:
    with store.stage() as staging:
        with staging.file("weights.safetensors") as staged:
            staged.write(weights_of("vits"))
        staged.path.unlink()
        with pytest.raises(CacheNotWritableError, match="removed while it was in use"):
            store.publish(key_of("vits"), staging, about={})
    assert store.get(key_of("vits")) is None


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(CacheNotWritableError, match="DEPTHHUB_CACHE"):
        publish(Store(tmp_path / ("x" * 300)), "new")


def test_an_error_of_the_caller_passes_through_unchanged(store: Store) -> None:
    with pytest.raises(ConnectionResetError), store.stage() as staging, staging.file("x"):
        raise ConnectionResetError
    with pytest.raises(CacheError) as caught, refusals(store.root):
        raise CacheError("already clear", path=store.root)
    assert type(caught.value) is CacheError


def test_bytes_written_before_a_refusal_are_counted_and_hashed(mount: Mount) -> None:
    staged = StagedFile(mount("size=64k") / "file")
    with suppress(CacheNotWritableError):
        for _ in range(100):
            staged.write(b"0123456789" * 1000)
    staged.close()
    written = staged.path.read_bytes()
    assert 0 < len(written) == staged.size < 100_000
    assert staged.sha256() == hash_of(written)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE])
def test_the_error_survives_pickling_with_what_it_knows(tmp_path: Path, number: int) -> None:
    with pytest.raises(CacheNotWritableError) as caught, refusals(tmp_path / "x"):
        raise OSError(number, "as the system says")
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, CacheNotWritableError)
    assert isinstance(again, DepthHubError)
    assert isinstance(again, OSError)
    assert (str(again), again.path, again.free) == (str(error), error.path, error.free)
    assert isinstance(error.__cause__, OSError)
    assert (error.free is not None) == (number in (errno.ENOSPC, errno.EDQUOT))
