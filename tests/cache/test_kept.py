"""Originals that the user asked to keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub_cache import disk
from depthhub_cache.store import Store

from .samples import files_under, hash_of

DATA = b"the bytes of an original"
HASH = hash_of(DATA)


def _keep(store: Store, data: bytes = DATA, *, filename: str | None = None) -> Path:
    with store.stage() as staging:
        with staging.file("download.part") as staged:
            staged.write(data)
        path = store.keep(staged.path, HASH, filename=filename)
    assert files_under(store.root / "v1" / "tmp") == {}
    return path


def test_a_kept_original_is_found_by_its_content_hash(store: Store) -> None:
    path = _keep(store, filename="vits.pth")
    assert path == store.root / "v1" / "checkpoints" / HASH[:2] / HASH / "vits.pth"
    assert path.read_bytes() == DATA
    assert store.kept(HASH) == path
    assert list(store.kept_checkpoints()) == [(HASH, path)]
    assert store.kept(hash_of(b"other")) is None


def test_it_keeps_its_own_name_unless_another_is_given(store: Store) -> None:
    assert _keep(store).name == "download.part"


def test_keeping_it_again_gives_the_one_that_is_there(store: Store) -> None:
    path = _keep(store, filename="vits.pth")
    inode = path.stat().st_ino
    assert _keep(store, filename="another-name.pth") == path
    assert path.stat().st_ino == inode


def test_a_damaged_one_is_replaced(store: Store) -> None:
    path = _keep(store, filename="vits.pth")
    path.write_bytes(DATA[::-1])
    assert _keep(store, filename="vits.pth").read_bytes() == DATA
    [aside] = store.set_aside()  # it may be all that is left of something
    assert (aside.path / "vits.pth").read_bytes() == DATA[::-1]
    path.unlink()
    assert store.kept(HASH) is None
    assert list(store.kept_checkpoints()) == []
    assert _keep(store, filename="vits.pth").read_bytes() == DATA


def test_where_nothing_can_be_exchanged_one_that_is_right_by_now_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _keep(store, filename="vits.pth")
    path.write_bytes(DATA[::-1])

    def another_process_is_faster(*_: object) -> bool:
        path.write_bytes(DATA)
        return False

    monkeypatch.setattr(disk, "exchange_folder", another_process_is_faster)
    inode = path.stat().st_ino
    assert _keep(store, filename="another-name.pth") == path
    assert path.stat().st_ino == inode
    assert list(store.set_aside()) == []


def test_it_is_kept_though_the_damaged_one_cannot_be(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    _keep(store, filename="vits.pth").write_bytes(DATA[::-1])
    (store.root / "v1" / "quarantine").write_text("in the way")
    assert _keep(store, filename="vits.pth").read_bytes() == DATA
    assert "it was damaged, and was kept again; what was there is lost" in caplog.text


@pytest.mark.parametrize("filename", ["../x", "a/b.pth", "..", "a\\b"])
def test_a_name_that_leads_elsewhere_is_refused(store: Store, filename: str) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        _keep(store, filename=filename)


def test_usage_counts_every_part(store: Store) -> None:
    from .samples import publish

    _keep(store, filename="vits.pth")
    entry = publish(store, "vits")
    store.remember("x", {"a": 1})
    with store.stage() as staging:
        staging.add("part", b"12345")
        usage = store.usage()
    assert (usage.entries.count, usage.refs.count, usage.checkpoints.count, usage.staging.count) == (1, 1, 1, 1)
    assert usage.entries.bytes == sum(files_under(entry.path).values())
    assert usage.checkpoints.bytes == len(DATA)
    assert usage.staging.bytes == 5
    assert usage.bytes == sum(files_under(store.root / "v1").values()) + 5
    assert usage.free is not None
    assert usage.free > 0
