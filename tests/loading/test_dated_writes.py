"""Whether the times of a file show each write to it: only where the file system and the path say so for certain."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.steps.digest import settle
from depthhub_cache.filesystem import file_system_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="only Linux tells file systems")


def test_what_decides_is_where_the_open_file_lies_not_where_its_path_leads(
    tiny: Path, tmp_path: Path, mount: Callable[..., Path]
) -> None:
    in_memory, on_disk = mount("size=32m") / "folder", tmp_path / "folder"
    for folder in (in_memory, on_disk):
        folder.mkdir()
        shutil.copy(tiny, folder / "w.pth")
    with OpenCheckpoint(in_memory / "w.pth") as opened:
        in_memory.rename(in_memory.with_name("elsewhere"))
        in_memory.symlink_to(on_disk)
        assert not settle(opened).shows


@pytest.mark.parametrize("inode_bytes", [128, 256])
def test_whole_seconds_show_nothing(tiny: Path, tmp_path: Path, mount: Callable[..., Path], inode_bytes: int) -> None:
    """ext4 with small inodes, as when it was an ext3 once, has no parts of a second."""
    if shutil.which("mke2fs") is None:
        pytest.skip("no ext4 can be made here")
    image = tmp_path / "ext4.img"
    image.touch()
    with image.open("r+b") as file:
        file.truncate(48 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-I", str(inode_bytes), str(image)], check=True)
    folder = mount("loop", kind="ext4", device=str(image))
    assert file_system_of(folder).type == "ext4"
    shutil.copy(tiny, folder / "w.pth")
    with OpenCheckpoint(folder / "w.pth") as opened:
        assert settle(opened).shows == (inode_bytes == 256)
