"""What has an entry open: nobody collects it."""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

import pytest
import torch

from depthhub import DepthHubError, from_pretrained, prewarm
from depthhub_cache.collection import Budget
from depthhub_cache.quarantine import reason_of
from depthhub_cache.store import Store

from ..cache.children import needs_fork, together
from .conftest import IsSound, Python
from .entries import entry_in, prewarmed, set_aside


def leases_in(cache: Path) -> list[Path]:
    return sorted((cache / "v1" / "leases").glob("*"))


@pytest.mark.parametrize("mapped", ["0", "1"])
def test_an_entry_is_leased_while_a_model_of_it_lives(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, mapped: str, is_sound: IsSound
) -> None:
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", mapped)
    one, two = (from_pretrained(tiny, family="v2") for _ in range(2))
    assert len(leases_in(cache)) == 2
    del one
    gc.collect()
    assert len(leases_in(cache)) == 1
    [spared] = Store(cache).collect(Budget(max_size=0)).spared
    assert spared.why.startswith(f"in use by process {os.getpid()} ")
    assert is_sound(two)
    del two
    gc.collect()
    assert leases_in(cache) == []
    assert len(Store(cache).collect(Budget(max_size=0)).freed) == 1


def test_a_lease_ends_with_a_load_that_fails(tiny: Path, cache: Path) -> None:
    prewarmed(tiny)
    with pytest.raises(DepthHubError):
        from_pretrained(tiny, family="v2", device="no such device")
    prewarm([tiny], family="v1")
    assert leases_in(cache) == []


def test_a_lease_ends_with_the_process_and_not_with_a_forked_child_of_it(
    tiny: Path, cache: Path, python: Python
) -> None:
    prewarmed(tiny)
    code = """
import os, sys
from pathlib import Path
import depthhub
model = depthhub.from_pretrained(sys.argv[1], family="v2")
leases = Path(sys.argv[2], "v1", "leases")
if not os.fork():
    sys.exit()  # as a program ends, with all that is registered for the end
os.wait()
print(len(list(leases.iterdir())))
"""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    assert python(code, str(tiny), str(cache)).stdout.strip() == "1"
    assert leases_in(cache) == []


def test_a_load_marks_the_entry_as_used_now(tiny: Path, cache: Path) -> None:
    prewarmed(tiny)
    from_pretrained(tiny, family="v2")
    used = cache / "v1" / "used" / entry_in(cache).key
    os.utime(used, (0, 0))
    from_pretrained(tiny, family="v2")
    assert abs(used.stat().st_mtime - time.time()) < 60


@needs_fork
@pytest.mark.skipif(sys.platform == "win32", reason="what is mapped cannot be removed there")
def test_no_load_fails_and_none_is_wrong_while_others_collect_all_there_is(
    tiny: Path, cache: Path, is_sound: IsSound
) -> None:
    """A collection may come between a load's look at the entry and its lease, and when it opens the file."""
    prewarmed(tiny)
    end = time.monotonic() + 3.0

    def loads() -> None:
        torch.set_num_threads(1)  # a forked process has only this one
        rounds = 0
        while time.monotonic() < end:
            assert is_sound(from_pretrained(tiny, family="v2"))
            gc.collect()
            time.sleep(0.1)  # for there must be moments when nobody has it open
            rounds += 1
        assert rounds > 0

    def collects() -> None:
        store = Store(cache)
        while time.monotonic() < end:
            if store.collect(Budget(max_size=0)).freed:
                (cache / "freed").touch()

    assert together(loads, loads, loads, collects, collects, collects) == [0] * 6
    assert (cache / "freed").exists()
    assert [reason_of(place) for place in set_aside(cache)] == [], "nothing was damaged"
