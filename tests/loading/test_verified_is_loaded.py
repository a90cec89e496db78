"""What `verify=True` has read is what the model is built of, whoever takes the entry away and gives it back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from depthhub import from_pretrained, prewarm
from depthhub_cache.entry import Entry
from depthhub_cache.store import Store


def test_a_damaged_entry_that_comes_back_after_another_was_verified_is_not_loaded(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection takes it away; another process makes it anew; that is verified, and removed; it is given back."""
    root, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    [sound] = prewarm([tiny], family="v2", cache_dir=elsewhere)
    right = from_pretrained(tiny, family="v2", cache_dir=elsewhere)
    [made] = prewarm([tiny], family="v2", cache_dir=root)
    data = bytearray(made.path.read_bytes())
    data[-5] ^= 64
    made.path.write_bytes(data)
    verify, times = Store.verify, list[int]()

    def meanwhile(store: Store, entry: Entry, *, deep: bool) -> None:
        times.append(len(times))
        if times[1:]:
            return verify(store, entry, deep=deep)
        entry.path.rename(tmp_path / "taken")
        shutil.copytree(sound.path.parent, entry.path)
        try:
            return verify(store, entry, deep=deep)
        finally:
            shutil.rmtree(entry.path)
            (tmp_path / "taken").rename(entry.path)

    monkeypatch.setattr(Store, "verify", meanwhile)
    model = from_pretrained(tiny, family="v2", cache_dir=root, verify=True)
    assert len(times) > 0
    assert all(torch.equal(found, right.state_dict()[name]) for name, found in model.state_dict().items())
