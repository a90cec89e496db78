"""Every container is read as what it is, and its tensors are those that were saved."""

from __future__ import annotations

import ctypes
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.checkpoint.converted import read_converted
from depthhub.errors import CheckpointError, DepthHubError, NotFoundError
from depthhub.testing import make_checkpoint

from .states import golden_shapes, read, same_bits


@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_content_decides_and_not_the_suffix(tmp_path: Path, container: str, suffix: str) -> None:
    path = make_checkpoint(tmp_path / f"weights{suffix}", container=container)  # type: ignore[arg-type]
    checkpoint = read(path)
    assert checkpoint.layout == "original"
    assert {key: tuple(tensor.shape) for key, tensor in checkpoint.tensors.items()} == golden_shapes("v2-tiny")


def mapped(tensor: Tensor) -> bool:
    """True where the tensor's memory belongs to a mapped file, as the kernel tells it."""
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= tensor.data_ptr() < end:
                return "weights" in line
    raise AssertionError("the tensor is nowhere")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks the Linux kernel")
@pytest.mark.parametrize(("container", "suffix"), [("pth", "pth"), ("pth", "bin"), ("safetensors", "safetensors")])
def test_tensors_are_views_of_the_mapped_file(tmp_path: Path, container: str, suffix: str) -> None:
    checkpoint = read(make_checkpoint(tmp_path / f"weights.{suffix}", container=container))  # type: ignore[arg-type]
    assert all(mapped(tensor) for tensor in checkpoint.tensors.values())


def test_the_values_are_those_that_were_saved(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, tmp_path / "zip.pth")
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "state.safetensors")
    for path in tmp_path.iterdir():
        tensors = read(path).tensors
        assert all(same_bits(tensors[key], state[key]) for key in state)


def test_an_archive_without_checksums_is_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, tmp_path / "weights.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read(tmp_path / "weights.pth").tensors.keys() == state.keys()


def test_parameters_become_plain_tensors(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({key: torch.nn.Parameter(tensor) for key, tensor in state.items()}, tmp_path / "weights.pth")
    tensors = read(tmp_path / "weights.pth").tensors.values()
    assert all(type(tensor) is Tensor and not tensor.requires_grad for tensor in tensors)


def test_a_folder_a_missing_file_and_a_pipe_are_errors_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(NotFoundError):
        read(tmp_path / "nothing.pth")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="regular file"):
            read(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes")
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at what it is and its opening."""
    path = tmp_path / "weights.pth"
    os.mkfifo(path)
    file, look = tiny.stat(), os.stat

    def stat(name: Path, **how: int) -> os.stat_result:
        return file if name == path else look(name, **how)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(CheckpointError, match="regular file"):
        read(path)


def bytes_name(folder: Path, name: bytes) -> Path:
    """A path that is no UTF-8, where the file system takes one."""
    path = folder / os.fsdecode(name)
    try:
        path.touch()
    except (OSError, UnicodeError):
        pytest.skip("this file system has only names in UTF-8")
    return path


@pytest.mark.parametrize("container", ["pth", "legacy"])
def test_a_file_whose_name_is_no_utf8_is_read(tmp_path: Path, container: str) -> None:
    path = make_checkpoint(tmp_path / "weights.pth", container=container)  # type: ignore[arg-type]
    path = path.rename(bytes_name(tmp_path, b"w\xff.pth"))
    assert len(read(path).tensors) == len(golden_shapes("v2-tiny"))


def test_safetensors_whose_name_is_no_utf8_are_to_be_renamed_and_are_not_called_damaged(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "weights", container="safetensors")
    path = path.rename(bytes_name(tmp_path, b"w\xff.safetensors"))
    for reader in (read, read_converted):
        with pytest.raises(CheckpointError, match="Rename") as caught:
            reader(path)
        assert "damaged" not in str(caught.value)
        str(caught.value).encode()  # it can be printed
        assert caught.value.path == path


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions bind neither Windows nor root")
def test_a_file_that_may_not_be_read_is_an_error_of_ours(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(tiny.read_bytes())
    path.chmod(0)
    with pytest.raises(DepthHubError, match="cannot be read"):
        read(path)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot lose its path there")
def test_where_no_path_leads_to_an_open_file_safetensors_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library opens files itself, and by its path it may get another one."""
    path = make_checkpoint(tmp_path / "weights", container="safetensors")
    find = Path.stat

    def stat(path: Path, **how: bool) -> os.stat_result:
        if path.is_relative_to("/proc") or path.is_relative_to("/dev"):
            raise FileNotFoundError
        return find(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(CheckpointError, match="neither /proc nor /dev/fd"):
        read(path)


@pytest.mark.skipif(not Path("/proc/thread-self/fd").exists(), reason="asks the Linux kernel")
def test_a_thread_with_descriptors_of_its_own_reads_its_own_file(tmp_path: Path) -> None:
    """There /proc/self/fd has those of the first thread, under the same numbers."""
    path, other = (make_checkpoint(tmp_path / f"{seed}.safetensors", seed=seed) for seed in (0, 1))
    expected = read(path).tensors
    with ThreadPoolExecutor(1) as apart, ExitStack() as first:
        if apart.submit(ctypes.CDLL(None).unshare, 0x400).result() != 0:
            pytest.skip("the system does not let us")
        for _ in range(50):
            first.enter_context(other.open("rb"))
        tensors = apart.submit(read, path).result().tensors
    assert all(same_bits(tensors[key], expected[key]) for key in expected)


@pytest.mark.parametrize("refusal", [MemoryError("no room"), RuntimeError("unable to mmap: no room")])
def test_a_file_that_the_system_does_not_map_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    file = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")

    def refuses(*_: object, **__: object) -> None:
        raise refusal

    monkeypatch.setattr("depthhub.checkpoint.reading.safe_open", refuses)
    with pytest.raises(CheckpointError, match=r"w.safetensors cannot be read: .*no room\."):
        read(file)


def test_what_the_system_does_not_tell_of_a_file_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenCheckpoint(make_checkpoint(tmp_path / "w.pth", encoder="tiny")) as opened:

        def refuses(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fstat", refuses)
            with pytest.raises(CheckpointError, match="cannot be read: Input/output error"):
                _ = opened.size
