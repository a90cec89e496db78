"""Where there is no room, or no permission: one clear error, before anything is done."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthhub import DepthHubError, NoSpaceError, from_pretrained, prewarm
from depthhub.testing import LocalHub, make_checkpoint
from depthhub_cache.collection import Budget
from depthhub_cache.store import Store

from ..cache.children import in_a_child, needs_fork
from ..cache.conftest import Mount
from ..cache.samples import files_under
from ..catalogs import checkpoint, write_catalog
from .conftest import IsSound
from .entries import prewarmed


@pytest.fixture
def small(
    mount: Mount,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    root = mount("size=6m")
    monkeypatch.setenv("DEPTHHUB_CACHE", str(root / "cache"))
    return root


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("kind", ["pinned", "asked"])
def test_where_there_is_no_room_not_a_byte_is_downloaded(
    local_hub: LocalHub, tiny: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    size = tiny.stat().st_size
    commit = local_hub.add_file("owner/repo", "tiny.pth", tiny)
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entry = checkpoint("small", repo_id="owner/repo", filename="tiny.pth", revision=commit, sha256=digest, size=size)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    free = shutil.disk_usage(small).free
    with pytest.raises(NoSpaceError) as caught:
        from_pretrained("small" if kind == "pinned" else "owner/repo/tiny.pth", family="v2")
    error = caught.value
    assert size < error.needed < 3 * size
    assert free - 100_000 < error.free <= free
    assert error.missing == error.needed - error.free
    for number in (error.needed, error.free, error.missing):
        assert f"{number:,}" in str(error)
    assert [request.path for request in local_hub.requests if request.host == "cdn"] == []
    assert [request.path for request in local_hub.requests if "/resolve/" in request.path] == []
    assert files_under(small / "cache" / "v1" / "tmp") == {}


def test_where_there_is_no_room_nothing_is_converted(tiny: Path, small: Path) -> None:
    with pytest.raises(NoSpaceError) as caught:
        from_pretrained(tiny, family="v2")
    assert caught.value.needed > 8_000_000
    assert files_under(small / "cache" / "v1" / "entries") == {}
    assert files_under(small / "cache" / "v1" / "tmp") == {}


def test_when_there_is_room_again_it_succeeds(tiny: Path, mount: Mount, cache: Path, is_sound: IsSound) -> None:
    root = mount("size=10m")
    ballast = root / "ballast"
    ballast.write_bytes(bytes(5_000_000))
    with pytest.raises(NoSpaceError, match="A collection would free nothing"):
        from_pretrained(tiny, family="v2", cache_dir=root / "cache")
    ballast.unlink()
    assert is_sound(from_pretrained(tiny, family="v2", cache_dir=root / "cache"))


def test_the_error_says_what_a_collection_would_free_and_then_there_is_room(
    tiny: Path,
    mount: Mount,
    cache: Path,
) -> None:
    root = mount("size=10m")
    prewarmed(tiny, cache_dir=root)
    with pytest.raises(NoSpaceError, match=r"cache gc --max-size (\d+)MB") as caught:
        from_pretrained(tiny, family="v1", cache_dir=root)
    assert caught.value.reclaimable > 8_000_000
    advised = re.search(r"--max-size (\d+)MB", str(caught.value))
    assert advised
    assert Store(root).collect(Budget(max_size=int(advised[1]) * 10**6)).freed_bytes >= caught.value.needed - (
        caught.value.free or 0
    )
    from_pretrained(tiny, family="v1", cache_dir=root)


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a cache of another user")
def test_a_cache_that_another_user_has_closed_is_one_clear_error(
    tiny: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_CACHE", str(open_folder / "cache"))
    weights = prewarmed(tiny)
    make_checkpoint(open_folder / "open.pth", encoder="tiny").chmod(0o644)
    weights.parent.chmod(0o700)

    def load() -> str:
        try:
            prewarm([open_folder / "open.pth"], family="v2")
        except DepthHubError as error:
            return str(error)
        return "loaded"

    said = in_a_child(load, as_nobody=True)
    assert "cannot be read: Permission denied. Ask its owner for permission" in said
