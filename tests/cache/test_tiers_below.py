"""Nothing is ever done to a tier below."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from depthhub_cache.refs import ref_path

from .samples import publish, tree_state
from .tiers import KEY, fill

EVERYTHING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from depthhub_cache.collection import Budget
from depthhub_cache.store import Store
from tests.cache.samples import hash_of, key_of, publish
own, below = Path(sys.argv[1]), Path(sys.argv[2])
store = Store(own, below=[below], lock_timeout=1.0)
print("BEGIN", flush=True)
entry = store.get(key_of("vits"))
lease = store.lease(entry)
store.verify(entry, deep=True), store.verify(key_of("vits"), deep=True)
store.handling_of(entry)
with store.lock(entry.key) as held, store.stage() as staging:
    assert held
    assert store.get(key_of("vitx")) is None
publish(store, "vits"), store.lease(publish(store, "new")).release(), store.lease(publish(store, "new")).release()
store.pin(entry.key), store.unpin(key_of("vitb")), store.is_pinned(key_of("vitb"))
assert store.recall("vits") and store.kept(hash_of(b"vits"))
store.remember("vits", {}), store.forget("vitb"), store.forget("nothing")
list(store.refs()), list(store.broken_refs()), list(store.entries()), list(store.kept_checkpoints())
list(store.kept_checkpoints()), list(store.abandoned("part"))
assert store.remove(key_of("vitb")) == 0
broken = store.get(key_of("cut"))
assert broken is None
flipped = store.get(key_of("flipped"))
store.distrust(flipped, "a bit was flipped")
store.sweep(), store.usage(), store.require_space(1)
store.collect(Budget(max_size=0, max_age=0.0), dry_run=True), store.collect(Budget(max_size=0, max_age=0.0))
lease.release()
assert store.get(key_of("vitb"))
"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A tier with everything that might tempt: broken entries, rubbish, dead leases, things in the quarantine."""
    below = fill(tmp_path / "below", "vits", "vitb", "flipped")
    publish(below, "cut").weights.write_bytes(b"cut")
    below.quarantine(publish(below, "broken").path, "why")
    below.lease(publish(below, "leased"))
    below.pin(KEY)
    rubbish = below.root / "v1" / "tmp" / "elsewhere-1-1-aaaaaaaa"
    rubbish.mkdir()
    (rubbish / "part").write_bytes(b"half")
    ref_path(below.root / "v1" / "refs", "flipped").write_bytes(b"{")
    for path in (rubbish / "part", rubbish, *below.root.glob("v1/leases/*"), *below.root.glob("v1/entries/*/*")):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return below.root


def test_nothing_that_can_be_done_changes_a_tier_below(full: Path, tmp_path: Path) -> None:
    before = tree_state(full)
    command = [sys.executable, "-c", EVERYTHING, str(tmp_path / "own"), str(full), str(Path(__file__).parents[2])]
    subprocess.run(command, check=True)
    assert tree_state(full) == before
    assert list((tmp_path / "own" / "v1").iterdir()) != []


_WRITES = (
    "mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mknod,mknodat,"
    "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,utimensat,futimesat,truncate,ftruncate,"
    "fsync,fdatasync,sync,syncfs,sync_file_range,flock,fcntl,write,pwrite64,writev,fallocate,sendfile,copy_file_range,"
    "open,openat,openat2,creat"
)


_WRITTEN_TO = re.compile(r"write\w*\(\d+<([^>]*)>")  # what is written may name anything


_HARMLESS = re.compile(r"fcntl\(.*F_(GETFD|SETFD|GETFL|SETFL|DUPFD)|open(at)?\(.*O_RDONLY(\||,|\)| )(?!.*O_CREAT)")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_call_that_could_write_lock_or_sync_names_a_tier_below(full: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    watched = ["strace", "-f", "-y", "-s", "4096", "-o", str(trace), "-e", f"trace={_WRITES}"]
    command = [sys.executable, "-c", EVERYTHING, str(tmp_path / "own"), str(full), str(Path(__file__).parents[2])]
    done = subprocess.run([*watched, *command], capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr or "PTRACE" in done.stderr:
        pytest.skip("may not trace here")
    assert done.returncode == 0, done.stderr
    lines = trace.read_text().split("BEGIN", 1)[1].splitlines()
    named = [line for line in lines if str(full) in (found[1] if (found := _WRITTEN_TO.search(line)) else line)]
    assert len(named) > 10, "it was read"
    assert [line for line in named if not _HARMLESS.search(line)] == []
    own = [line for line in lines if str(tmp_path / "own") in line and not _HARMLESS.search(line)]
    for call in ("fsync", "flock", "rename", "unlink", "utime", "mkdir"):
        assert any(call in line for line in own), f"the trace would have shown {call}"
