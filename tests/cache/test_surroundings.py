"""What doctor says of the file system that a cache lies on."""

from __future__ import annotations

import pytest

from depthhub_cache.doctor.surroundings import file_system
from depthhub_cache.filesystem import FileSystem


@pytest.mark.parametrize(
    ("system", "state", "says"),
    [
        (FileSystem(type="ext4", is_network=False), "good", "local file system (ext4)"),
        (FileSystem(type="tmpfs", is_network=False), "good", "local file system (tmpfs)"),
        (FileSystem(type="ext2", is_network=False), "degraded", "without a journal (ext2)"),
        (FileSystem(type="vfat", is_network=False), "degraded", "without a journal (vfat)"),
        (FileSystem(type="nfs4", source="nas:/models", is_network=True), "degraded", "(nfs4, from nas:/models)"),
        (FileSystem(type="newfs"), "unknown", "newfs is not known here"),
        (FileSystem(), "unknown", "does not say"),
    ],
)
def test_the_file_system_is_named_with_what_it_does_not_promise(system: FileSystem, state: str, says: str) -> None:
    finding = file_system(system)
    assert (finding.state, says in finding.what) == (state, True)
    assert ("DEPTHHUB_CACHE" in (finding.advice or "")) == (state == "degraded")
