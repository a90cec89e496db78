"""One cache of several users: group permissions and setgid are honoured, and what is hidden is reported."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from depthhub_cache import disk
from depthhub_cache.collection import Budget
from depthhub_cache.errors import BrokenEntryError, CacheError, CacheNotWritableError
from depthhub_cache.owner import Owner
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from .children import in_a_child, needs_fork, together
from .samples import files_under, hash_of, key_of, publish, weights_of

pytestmark = [
    needs_fork,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs several users"),
    pytest.mark.skipif(sys.platform != "linux", reason="a folder's group and setgid as on Linux"),
]

GROUP = 54_321
ANN, BOB, CARL, STRANGER = 50_001, 50_002, 50_003, 50_004
UMASKS = {ANN: 0o022, BOB: 0o077, CARL: 0o002}


def as_user(uid: int, work: Callable[[], Any], *, umask: int | None = None) -> Any:
    """What `work` returns in a process of that user, in the group unless it is the stranger."""

    def do() -> Any:
        own = 60_000 + uid % 10
        os.setgroups([] if uid == STRANGER else [GROUP])
        os.setgid(own)
        os.setuid(uid)
        os.umask(UMASKS.get(uid, 0o022) if umask is None else umask)
        return work()

    return in_a_child(do)


@pytest.fixture
def shared(open_folder: Path) -> Path:
    """A folder made for a group: setgid and group-writable."""
    folder = open_folder / "shared"
    folder.mkdir()
    os.chown(folder, 0, GROUP)
    folder.chmod(0o2775)
    return folder


@pytest.fixture(autouse=True, scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All modules that are loaded late, while we may still read them: Python itself may lie in root's home."""
    use_all_of(Store(tmp_path_factory.mktemp("imports") / "cache"), "vits")


def everything_in(folder: Path) -> list[Path]:
    return [folder, *sorted(folder.rglob("*"))]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def use_all_of(store: Store, name: str) -> None:
    """Everything that leaves something in the cache."""
    publish(store, name)
    lease = store.lease(entry_of(store, name))
    store.remember(name, {"of": name})
    store.pin(key_of(name))
    with store.lock(key_of(name)) as held:
        assert held
    with store.stage() as staging:
        original = staging.add("original.pth", name.encode())
        store.keep(original, hash_of(name.encode()))
    publish(store, f"broken {name}")
    store.distrust(entry_of(store, f"broken {name}"), "why")
    lease.release()


def entry_of(store: Store, name: str):  # type: ignore[no-untyped-def]
    entry = store.get(key_of(name))
    assert entry is not None
    return entry


@pytest.mark.parametrize("root", ["", "cache", "deeper/cache"])
@pytest.mark.parametrize("first", UMASKS)
def test_each_reads_what_the_others_made_whatever_their_umasks(shared: Path, first: int, root: str) -> None:
    store = Store(shared / root)
    users = [first, *(uid for uid in UMASKS if uid != first)]
    for uid in users:
        as_user(uid, lambda uid=uid: use_all_of(store, str(uid)))

    def read() -> None:
        for maker in map(str, users):
            store.verify(key_of(maker), deep=True)
            assert store.recall(maker) == {"of": maker}
            kept = store.kept(hash_of(maker.encode()))
            assert kept is not None
            assert kept.read_bytes() == maker.encode()
            entry_of(store, maker).weights.read_bytes()

    for uid in users:
        as_user(uid, read)


def test_each_repairs_replaces_and_removes_what_the_others_made(shared: Path) -> None:
    store = Store(shared / "cache", lock_timeout=1.0)

    def change(mine: str, theirs: str) -> None:
        with store.lock(key_of(theirs)) as held:
            assert held
        store.remember(theirs, {"of": mine})
        assert store.recall(theirs) == {"of": mine}
        store.unpin(key_of(theirs))
        assert not store.is_pinned(key_of(theirs))
        store.pin(key_of(theirs))
        store.distrust(entry_of(store, theirs), "why")
        publish(store, theirs, maker=mine)
        assert entry_of(store, theirs).record.about["maker"] == mine
        assert store.remove(key_of(theirs)) > 0
        publish(store, theirs)
        store.forget(theirs)
        store.remember(theirs, {"of": theirs})

    for uid in UMASKS:
        as_user(uid, lambda uid=uid: use_all_of(store, str(uid)))
    for uid in UMASKS:
        for other in UMASKS:
            as_user(uid, lambda uid=uid, other=other: change(str(uid), str(other)))
    for uid in UMASKS:
        as_user(uid, lambda uid=uid: store.lease(entry_of(store, str(ANN))).release())
    assert [store.is_pinned(key_of(uid)) for uid in UMASKS] == [True] * 3
    collected = as_user(BOB, lambda: store.collect(Budget(max_size=0)))
    assert [decision.why for decision in collected.spared] == ["pinned"] * 3
    assert len(collected.freed) > 3


def test_a_broken_entry_of_another_is_exchanged(shared: Path) -> None:
    store = Store(shared / "cache")
    for maker, repairer in ((ANN, BOB), (BOB, CARL), (CARL, ANN)):
        as_user(maker, lambda: publish(store, "vits").weights.write_bytes(b"cut"))
        entry = as_user(repairer, lambda: publish(store, "vits"))
        assert entry.weights.stat().st_uid == repairer
        store.verify(entry, deep=True)
        store.remove(entry.key)


def test_what_one_user_left_when_killed_another_one_sweeps(shared: Path) -> None:
    store = Store(shared / "cache")

    def die() -> None:
        with store.stage() as staging:
            staging.add("part", b"half")
            store.lease(publish(store, "vits"))
            os._exit(0)

    for umask in (0o022, 0o077):
        with pytest.raises(EOFError):  # it died before it said anything
            as_user(ANN, die, umask=umask)
        assert as_user(BOB, store.sweep) == len(b"half")
    assert files_under(store.root / "v1" / "tmp") == files_under(store.root / "v1" / "leases") == {}


def test_users_who_begin_a_cache_at_once_make_it_for_the_group(shared: Path) -> None:
    for attempt in range(20):
        store = Store(shared / str(attempt))

        def begin(uid: int, store: Store = store) -> None:
            os.setgroups([GROUP])
            os.setgid(60_000)
            os.setuid(uid)
            os.umask(0o077)
            use_all_of(store, str(uid))

        assert together(*(partial(begin, uid) for uid in (ANN, BOB, CARL))) == [0, 0, 0]
        for path in everything_in(store.root):
            if path.is_dir():
                assert mode_of(path) & stat.S_IRWXG == stat.S_IRWXG, path


def test_where_the_system_renames_over_an_empty_folder_only_it_is_shared_too(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "take_free_name", lambda *_: False)
    store = Store(shared / "cache")
    as_user(ANN, lambda: use_all_of(store, "vits"), umask=0o077)
    for path in everything_in(store.root):
        if path.is_dir():
            assert mode_of(path) & stat.S_IRWXG == stat.S_IRWXG, path


def test_a_folder_of_one_who_died_before_it_was_shared_is_swept(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(shared / "cache")
    use_all_of(store, "vits")

    def die_in_a_rename(path: Path, target: Path) -> None:
        os._exit(0)

    def publish_on_a_new_shelf() -> None:
        monkeypatch.setattr(disk, "take_free_name", die_in_a_rename)
        disk.make_folder(store.root / "v1" / "entries" / "shelf")

    with pytest.raises(EOFError):
        as_user(ANN, publish_on_a_new_shelf)
    [left] = [path for path in (store.root / "v1" / "entries").iterdir() if Owner.of_name(path.name)]
    assert list(store.keys()) == [key_of("vits")]
    as_user(BOB, store.sweep)
    assert not left.exists()


def test_in_a_folder_of_a_group_nothing_is_for_its_owner_alone(shared: Path) -> None:
    store = Store(shared / "cache")

    def use_and_stay() -> None:
        use_all_of(store, "vits")
        store.lease(entry_of(store, "vits"))
        with store.stage() as staging, staging.file("part") as staged:
            staged.write(b"half")
            os._exit(0)

    with pytest.raises(EOFError):
        as_user(BOB, use_and_stay, umask=0o077)
    for path in everything_in(store.root):
        mode = mode_of(path)
        assert path.lstat().st_gid == GROUP, path
        assert mode & stat.S_IRGRP, path
        assert not mode & stat.S_IRWXO, path  # what the umask says of strangers stands
        if path.is_dir():
            assert mode & stat.S_IRWXG == stat.S_IRWXG, path
            assert mode & stat.S_ISGID, path
    for area in ("locks", "used", "leases", "pins"):  # who comes later marks and locks them too
        files = [path for path in everything_in(store.root / "v1" / area) if path.is_file()]
        assert files != []
        assert all(mode_of(path) & stat.S_IWGRP for path in files)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("mode", [0o755, 0o1777, 0o3777])
def test_elsewhere_the_umask_alone_decides(open_folder: Path, mode: int, umask: int) -> None:
    """A home of one's own; and a sticky folder, like /tmp, which is everybody's and not a group's."""
    above = open_folder / "above"
    above.mkdir()
    above.chmod(mode)
    if mode == 0o755:
        os.chown(above, ANN, -1)
    store = Store(above / "cache")
    as_user(ANN, lambda: use_all_of(store, "vits"), umask=umask)
    for path in everything_in(store.root):
        expected = (0o777 if path.is_dir() else 0o666) & ~umask
        assert mode_of(path) & 0o777 == expected, path


def test_what_its_folder_does_not_grant_the_group_is_not_granted(open_folder: Path) -> None:
    folder = open_folder / "readers"
    folder.mkdir()
    os.chown(folder, ANN, GROUP)
    folder.chmod(0o2750)
    store = Store(folder / "cache")
    as_user(ANN, lambda: use_all_of(store, "vits"), umask=0o077)
    for path in everything_in(store.root):
        assert mode_of(path) & stat.S_IRGRP, path
        assert not mode_of(path) & (stat.S_IWGRP | stat.S_IRWXO), path

    def read_and_try() -> None:
        store.verify(key_of("vits"), deep=True)
        with pytest.raises(CacheNotWritableError, match=f"permission denied for the user with uid {BOB}"):
            publish(store, "vitb")

    as_user(BOB, read_and_try)


def test_who_is_not_in_the_group_reads_what_the_umask_lets_him_and_is_told_what_not(shared: Path) -> None:
    store = Store(shared / "cache")
    as_user(ANN, lambda: use_all_of(store, "open"), umask=0o022)
    as_user(BOB, lambda: use_all_of(store, "closed"), umask=0o077)

    def look() -> None:
        store.verify(key_of("open"), deep=True)
        store.lease(entry_of(store, "open")).release()
        for use in (store.get, lambda key: store.verify(key, deep=True)):
            with pytest.raises(CacheError, match=r"cannot be read: Permission denied\. Ask its owner") as caught:
                use(key_of("closed"))
            assert not isinstance(caught.value, BrokenEntryError | CacheNotWritableError)
        assert store.recall("closed") is None
        assert store.recall("open") == {"of": "open"}
        assert store.kept(hash_of(b"closed")) is None
        assert store.usage().entries.count == 1  # what one sees

    as_user(STRANGER, look)


HIDDEN = ["v1/entries", "v1/refs", "v1/checkpoints", "v1/tmp", "v1/locks", "v1/leases", "v1/quarantine", "v1", ""]


@pytest.mark.parametrize("place", HIDDEN)
def test_whatever_part_is_hidden_nothing_but_an_error_of_ours_is_raised(open_folder: Path, place: str) -> None:
    store = Store(open_folder / "cache")
    use_all_of(store, "vits")
    (store.root / place).chmod(0o700)

    def try_everything() -> list[str]:
        uses: dict[str, Callable[[], object]] = {
            "get": lambda: store.get(key_of("vits")),
            "keys": lambda: list(store.keys()),
            "entries": lambda: list(store.entries()),
            "verify": lambda: store.verify(key_of("vits"), deep=True),
            "folder_of": lambda: store.folder_of(key_of("vits")),
            "recall": lambda: store.recall("vits"),
            "refs": lambda: list(store.refs()),
            "broken_refs": lambda: list(store.broken_refs()),
            "kept": lambda: store.kept(hash_of(b"vits")),
            "kept_checkpoints": lambda: list(store.kept_checkpoints()),
            "abandoned": lambda: list(store.abandoned("part")),
            "sweep": store.sweep,
            "usage": store.usage,
            "collect": lambda: store.collect(Budget(max_size=0)),
            "dry run": lambda: store.collect(Budget(max_size=0), dry_run=True),
            "space": lambda: store.require_space(2**62),
            "pin": lambda: store.pin(key_of("vits")),
            "unpin": lambda: store.unpin(key_of("vits")),
            "is_pinned": lambda: store.is_pinned(key_of("vits")),
            "forget": lambda: store.forget("vits"),
            "remember": lambda: store.remember("vits", {}),
            "remove": lambda: store.remove(key_of("vits")),
            "publish": lambda: publish(store, "vitb"),
            "lock": lambda: store.lock(key_of("vits")).__enter__(),
        }
        return [name for name, use in uses.items() if not _raises_only_ours(use)]

    assert as_user(STRANGER, try_everything) == []


def _raises_only_ours(use: Callable[[], object]) -> bool:
    try:
        use()
    except CacheError:
        return True
    except OSError as error:
        print(repr(error))
        return False
    return True


def test_a_kept_original_or_a_ref_that_is_hidden_is_as_if_it_were_not_there(open_folder: Path) -> None:
    store = Store(open_folder / "cache")
    use_all_of(store, "vits")
    original = store.kept(hash_of(b"vits"))
    assert original is not None
    original.parent.chmod(0o700)
    ref_path(store.root / "v1" / "refs", "vits").chmod(0o600)

    def look() -> None:
        assert store.kept(hash_of(b"vits")) is None
        assert list(store.kept_checkpoints()) == []
        assert store.recall("vits") is None
        assert list(store.refs()) == []
        assert list(store.broken_refs()) == []  # nobody knows

    as_user(STRANGER, look)


def test_the_process_of_another_user_has_its_lease(shared: Path) -> None:
    store = Store(shared / "cache")
    publish(store, "vits", data=weights_of("vits", 5000))
    os.chown(store.root, 0, GROUP)
    mine = Owner.current()
    lease = store.lease(entry_of(store, "vits"))
    collected = as_user(BOB, lambda: store.collect(Budget(max_size=0), dry_run=True))
    assert [decision.why for decision in collected.spared] == [f"in use by process {mine.pid} on {mine.host}"]
    lease.release()
