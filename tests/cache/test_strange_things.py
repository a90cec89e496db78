"""Things that somebody put in the places of the store's own: pipes that wait for ever, links, other entries."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from depthhub_cache.errors import BrokenEntryError
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store
from depthhub_cache.verification import is_broken

from .samples import key_of, publish

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here"),
    pytest.mark.timeout(20),
]


def _pipe_at(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["entry.json", "weights.safetensors"])
def test_a_pipe_in_an_entry_is_broken_and_nobody_waits_for_it(store: Store, name: str) -> None:
    entry = publish(store, "vits")
    _pipe_at(entry.path / name)
    assert store.get(entry.key) is None
    with pytest.raises(BrokenEntryError):
        store.verify(entry.key, deep=True)
    store.verify(publish(store, "vits"), deep=True)
    [place] = (store.root / "v1" / "quarantine").iterdir()
    assert stat.S_ISFIFO((place / name).stat().st_mode)


def test_a_pipe_as_a_ref_is_damaged(store: Store) -> None:
    _pipe_at(ref_path(store.root / "v1" / "refs", "vits"))
    assert store.recall("vits") is None
    assert list(store.refs()) == []
    [(_, problem)] = store.broken_refs()
    assert "not a file" in problem
    store.remember("vits", {"a": 1})
    assert store.recall("vits") == {"a": 1}


def test_a_pipe_as_the_word_of_who_holds_a_lock_says_nothing(store: Store) -> None:
    _pipe_at(store.root / "v1" / "locks" / f"{key_of('vits')}.holder")
    store.sweep()
    with store.lock(key_of("vits")) as held:
        assert held


def test_a_pipe_among_kept_originals_and_in_the_quarantine(store: Store) -> None:
    key = key_of("vits")
    _pipe_at(store.root / "v1" / "checkpoints" / key[:2] / key / "best.pth")
    _pipe_at(store.root / "v1" / "quarantine" / f"{key}-00000000" / "reason.json")
    assert store.kept(key) is None
    store.usage()
    store.sweep()


def test_a_lock_that_is_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"x" * 100)
    lock = store.root / "v1" / "locks" / f"{key_of('vits')}.lock"
    lock.parent.mkdir(parents=True)
    lock.symlink_to(tmp_path / "precious")
    with store.lock(key_of("vits")) as held:
        assert not held
    assert (tmp_path / "precious").read_bytes() == b"x" * 100


def test_the_mark_of_use_does_not_reach_what_a_link_leads_to(store: Store, tmp_path: Path) -> None:
    entry = publish(store, "vits")
    (tmp_path / "precious").touch()
    os.utime(tmp_path / "precious", (0, 0))
    used = store.root / "v1" / "used" / entry.key
    used.parent.mkdir(parents=True, exist_ok=True)
    used.symlink_to(tmp_path / "precious")
    store.lease(entry).release()
    assert (tmp_path / "precious").stat().st_mtime == 0


def test_what_was_made_again_meanwhile_is_not_set_aside(store: Store) -> None:
    """Two verify the same broken entry; the faster has set it aside, and it is made again, before the slower."""
    entry = publish(store, "vits")
    entry.weights.write_bytes(b"cut")
    second = publish(store, "vits", maker="second")
    key = entry.key
    assert store.quarantine(entry.path, "cut", still=lambda path: is_broken(path, key, deep=True)) is None
    store.distrust(entry, "cut")
    found = store.get(key)
    assert found is not None
    assert found.record.about["maker"] == "second"
    assert found.identity == second.identity
    store.verify(found, deep=True)


def test_what_is_distrusted_is_never_adopted(store: Store) -> None:
    entry = publish(store, "vits")
    (store.root / "v1" / "quarantine").write_text("in the way")
    store.distrust(entry, "a bit is flipped")
    assert store.get(entry.key) is None
    assert publish(store, "vits", maker="second").record.about["maker"] == "second"


def test_what_a_file_manager_leaves_beside_a_kept_original_is_not_taken_for_it(store: Store) -> None:
    with store.stage() as staging:
        path = staging.add("best.pth", b"weights")
        content_hash = staging.finished("best.pth").sha256()
        kept = store.keep(path, content_hash)
    for name in (".DS_Store", ".nfs000001", "a note.txt"):
        (kept.parent / name).write_bytes(b"x")
    with store.stage() as staging:
        assert store.keep(staging.add("again.pth", b"weights"), content_hash) == kept


@pytest.mark.parametrize("hidden", ["tmp", "leases", "locks", "quarantine"])
def test_what_another_user_hides_does_not_stop_a_sweep(
    store: Store, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, "vits")
    listed = Path.iterdir

    def refused(path: Path) -> object:
        if path.name == hidden:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refused)  # root is refused nothing
    assert store.sweep() == 0
    store.usage()
