"""A file that changes while it is read, or between two calls, is never taken for what it was: not by halves either."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
import torch

from depthhub import (
    CheckpointError,
    OptionError,
    from_pretrained,
    prewarm,
)
from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.conversion import convert_file
from depthhub.progress import Progress
from depthhub.steps.digest import Settled, settle
from depthhub.steps.obtain import opened_settled
from depthhub.testing import make_checkpoint
from depthhub_cache.store import Store

from ..cache.samples import memory_folder
from .conftest import golden_difference


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entries(cache: Path) -> list[Path]:
    return list(cache.rglob("weights.safetensors"))


@pytest.mark.parametrize("stage", ["verifying", "converting"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_changes_during_the_call_publishes_nothing(
    tmp_path: Path, tiny: Path, cache: Path, stage: str, in_place: bool
) -> None:
    path, other = tmp_path / "last.pth", make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    shutil.copy(tiny, path)

    def change(progress: object) -> None:
        if progress.stage == stage and other.exists():  # type: ignore[attr-defined]
            if in_place:
                path.write_bytes(other.read_bytes())
                other.unlink()
            else:
                other.replace(path)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        from_pretrained(path, family="v2", cache_dir=cache, progress=change)
    assert entries(cache) == []


@pytest.mark.parametrize("convert", [True, False])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_file_that_is_written_through_a_map_meanwhile_publishes_nothing(
    tmp_path: Path, tiny: Path, cache: Path, convert: bool, in_memory: bool
) -> None:
    """In memory such a write changes no time of the file; on a disk, only that of a page that was written out."""
    with tempfile.TemporaryDirectory(dir=memory_folder() if in_memory else tmp_path) as folder:
        path = Path(folder) / "a.pth"
        shutil.copy(tiny, path)
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            at = [len(mapped) // 2 + 1000]  # in no sample that tells one file from another
            mapped[at[0]] ^= 0  # the page waits to be written out

            def change(progress: Progress) -> None:
                if progress.stage == "converting" and progress.done and at:  # its checksums were right
                    mapped[at.pop()] ^= 0xFF

            options = {"out": tmp_path / "out.safetensors"} if convert else {"cache_dir": cache}
            with pytest.raises(CheckpointError, match="changed while it was read"):
                (convert_file if convert else from_pretrained)(path, family="v2", progress=change, **options)
    assert entries(cache) == []
    assert not (tmp_path / "out.safetensors").exists()


def test_a_link_that_leads_elsewhere_while_it_is_read_is_followed_once(tmp_path: Path, tiny: Path, cache: Path) -> None:
    other, link = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1), tmp_path / "current.pth"
    link.symlink_to(tiny)

    def flip(progress: Progress) -> None:
        lead_to = other if progress.stage == "converting" and progress.done == 0 else tiny
        link.unlink()
        link.symlink_to(lead_to)

    model = from_pretrained(link, family="v2", cache_dir=cache, progress=flip)
    assert golden_difference(model, "v2-tiny") <= 1e-4


def test_a_checkpoint_is_not_converted_over_itself(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "a.pth"
    shutil.copy(tiny, path)
    (tmp_path / "again.pth").hardlink_to(path)
    for out in (path, tmp_path / "again.pth"):
        with pytest.raises(OptionError, match="is the checkpoint itself"):
            convert_file(path, out, family="v2", dtype="float16", replace=True)
    assert path.read_bytes() == tiny.read_bytes()


def test_a_remembered_hash_finds_an_entry_but_makes_none(
    tmp_path: Path, tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthhub.steps.local_file._RACY_SECONDS", 0.0)
    path = tmp_path / "a.pth"
    shutil.copy(tiny, path)
    prewarm([path], family="v2", cache_dir=cache)
    store = Store(cache)
    [(name, ref)] = store.refs()
    store.remember(name, {**ref, "content_hash": "0" * 64})  # as if other bytes had kept every time and number
    with pytest.raises(CheckpointError, match="has other content than when its sha256 was remembered"):
        from_pretrained(path, family="v2", cache_dir=cache)
    assert golden_difference(from_pretrained(path, family="v2", cache_dir=cache), "v2-tiny") <= 1e-4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, cache: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match="no regular file"):
        from_pretrained(tmp_path / "pipe.pth", family="v2", cache_dir=cache)


def test_a_file_that_changed_without_a_new_time_is_read_again(tiny: Path, tmp_path: Path, cache: Path) -> None:
    """As with images of read-only file systems, whose files have the times and inodes of nobody."""
    file = tmp_path / "best.pth"
    shutil.copy(tiny, file)
    os.utime(file, (1, 1))
    time.sleep(2.1)
    first = from_pretrained(file, family="v2")
    state = file.stat()
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    remembered = next(data for name, data in Store(cache).refs() if name == f"file:{file}")
    with file.open("r+b") as open_file:  # the same inode
        open_file.write(other.read_bytes())
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    now = file.stat()
    times = [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev]
    Store(cache).remember(f"file:{file}", {**remembered, "fingerprint": [*times, remembered["fingerprint"][5]]})
    second = from_pretrained(file, family="v2")
    assert first.provenance.content_hash != second.provenance.content_hash


def test_verifying_does_not_believe_what_was_remembered_of_a_file(tiny: Path, tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "best.pth"
    shutil.copy(tiny, file)
    time.sleep(2.1)
    from_pretrained(file, family="v2")
    remembered = next(data for name, data in Store(cache).refs() if name == f"file:{file}")
    Store(cache).remember(f"file:{file}", {**remembered, "content_hash": "0" * 64})
    with pytest.raises(CheckpointError, match="other content than when"):
        from_pretrained(file, family="v2")
    Store(cache).remember(f"file:{file}", {**remembered, "content_hash": "0" * 64})
    assert from_pretrained(file, family="v2", verify=True).provenance.content_hash == remembered["content_hash"]


@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
def test_a_folder_that_is_swapped_and_swapped_back_leads_to_no_other_file(
    tmp_path: Path, cache: Path, container: str
) -> None:
    """To move a folder changes no time of its files: what is converted has to be the very file that was hashed."""
    one, other, away = tmp_path / "one", tmp_path / "other", tmp_path / "away"
    for seed, folder in enumerate((one, other)):
        folder.mkdir()
        make_checkpoint(folder / "w", encoder="tiny", seed=seed, container=container)  # type: ignore[arg-type]
    right = from_pretrained(one / "w", family="v2", cache_dir=cache / "right")
    swaps: list[str] = []

    def swapping(progress: Progress) -> None:
        if progress.stage == "converting" and len(swaps) < 2:
            first, second = (one, other) if not swaps else (other, one)
            first.rename(away)
            second.rename(first)
            away.rename(second)
            swaps.append(progress.stage)

    model = from_pretrained(one / "w", family="v2", cache_dir=cache / "mine", progress=swapping)
    assert len(swaps) == 2, "the case that is tested"
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), right.parameters(), strict=True))


@pytest.mark.parametrize("stage", ["verifying", "converting"])
def test_a_checkpoint_that_is_cut_short_while_it_is_read_is_not_the_caches_fault(tmp_path: Path, stage: str) -> None:
    path = make_checkpoint(tmp_path / "w.pth", encoder="tiny")

    def cutting(progress: Progress) -> None:
        if progress.stage == stage and progress.done:
            os.truncate(path, 1 << 20)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        from_pretrained(path, family="v2", progress=cutting)


def test_dates_are_not_believed_while_somebody_may_be_writing(tiny: Path, tmp_path: Path, cache: Path) -> None:
    """A write is dated when it begins, and its bytes may come seconds later."""
    file = tmp_path / "best.pth"
    shutil.copy(tiny, file)
    os.utime(file, (1, 1))
    time.sleep(2.1)
    stages: list[str] = []

    def hashed_again(**options: str) -> bool:
        stages.clear()
        from_pretrained(file, family="v2", progress=lambda told: stages.append(told.stage), **options)
        return "verifying" in stages[stages.index("converting") :]

    def remembered() -> bool:
        return any(name == f"file:{file}" for name, _ in Store(cache).refs())

    with file.open("r+b"):
        assert hashed_again()
        assert not remembered(), "the next call reads it again"
    with OpenCheckpoint(file) as opened:
        shows = settle(opened).shows
    if not shows:
        pytest.skip("this file system dates not every write, or the system does not tell who writes")
    assert not hashed_again(dtype="float16")
    assert remembered()


def test_a_file_that_somebody_has_open_to_write_is_taken_with_a_warning(
    tmp_path: Path, tiny: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.pth"
    shutil.copy(tiny, path)
    with path.open("r+b"):
        with OpenCheckpoint(path) as opened:
            if not settle(opened).is_written:
                pytest.skip("the system does not tell")
        from_pretrained(path, family="v2", cache_dir=cache)
    assert "has it open to write" in caplog.text
    caplog.clear()
    from_pretrained(path, family="v2", cache_dir=cache)
    assert "has it open to write" not in caplog.text


def test_a_copy_on_this_machine_is_opened_anew_once_it_is_settled(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a union mount who had it open before maps another file than he reads."""
    path, other = tmp_path / "a.pth", make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    shutil.copy(tiny, path)
    settled: list[OpenCheckpoint] = []

    def settling(opened: OpenCheckpoint) -> Settled:
        settled.append(opened)
        return settle(opened)

    monkeypatch.setattr("depthhub.steps.obtain.settle", settling)
    opened, _ = opened_settled(path)
    with opened:
        assert settled[0] is not opened
        assert opened.whole() == tiny.read_bytes()

    def replacing(opened: OpenCheckpoint) -> Settled:
        found = settle(opened)
        opened.file.close()
        other.replace(path)
        return found

    monkeypatch.setattr("depthhub.steps.obtain.settle", replacing)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        opened_settled(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="hands files in by /proc")
def test_a_file_that_is_handed_in_by_its_descriptor_is_that_file_whatever_its_name_leads_to(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "w.pth", encoder="tiny")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("rb") as file:
        path.unlink()
        make_checkpoint(path, encoder="tiny", seed=1)
        model = from_pretrained(f"/proc/self/fd/{file.fileno()}", family="v2")
    assert model.provenance.content_hash == right
