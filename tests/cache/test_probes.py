"""The experiments of an examination: real file systems, real processes, and file systems that lie."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthhub_cache import disk
from depthhub_cache.doctor import examination, probes
from depthhub_cache.doctor.examination import Examination, examine, examine_below
from depthhub_cache.doctor.probes import Finding, Witnessed, ask_a_witness
from depthhub_cache.errors import CacheNotWritableError
from depthhub_cache.filesystem import FileSystem, Handling, file_system_of, ref_name, remembered_or_facts
from depthhub_cache.store import Store

from .children import in_a_child, needs_fork
from .conftest import Mount
from .samples import files_under, publish

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="mounts of Linux")
on_posix = pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")

NETWORK = FileSystem(device=7, type="nfs4", source="nas:/x", options=("rw",), is_network=True)
UNSHARED = FileSystem(device=7, type="nfs", source="nas:/x", options=("rw", "nolock"), is_network=True)
LOCAL = FileSystem(device=7, type="ext4", source="/dev/vda", options=("rw",), is_network=False)


def states(found: Examination) -> dict[str, str]:
    return {finding.name: finding.state for finding in found.findings}


def finding(found: Examination, name: str) -> Finding:
    return next(finding for finding in found.findings if finding.name == name)


@pytest.fixture
def store(store: Store) -> Store:
    """One whose folder is there: only then can be noted what was found."""
    store.root.mkdir()
    return store


# --- a sound place


def test_on_a_sound_file_system_nothing_is_wrong(store: Store) -> None:
    found = examine(store)
    assert set(states(found).values()) <= {"good", "unknown"}
    assert list(states(found))[:6] == ["folder", "writing", "file system", "space", "locks", "mapping"]
    assert found.handling == Handling("flock", True)


def test_nothing_of_the_experiments_stays(store: Store) -> None:
    examine(store)
    assert list((store.root / "v1" / "tmp").iterdir()) == []
    assert {name.split("/")[0] for name in files_under(store.root / "v1")} == {"refs"}


def test_a_cache_that_is_not_there_yet_is_examined_where_it_would_be_and_not_made(tmp_path: Path) -> None:
    found = examine(Store(tmp_path / "far" / "away" / "cache"))
    assert list(tmp_path.iterdir()) == []
    assert set(states(found).values()) <= {"good", "unknown"}
    assert (states(found)["folder"], states(found)["writing"], states(found)["locks"]) == ("unknown", "good", "good")


@needs_fork
def test_a_cache_that_could_not_be_made_is_broken_for_who_may_not_make_it(open_folder: Path) -> None:
    (open_folder / "hidden").mkdir(mode=0o700)
    for place in (open_folder / "cache", open_folder / "hidden" / "far" / "cache"):
        found = in_a_child(lambda place=place: examine(Store(place)), as_nobody=True)
        assert states(found)["writing"] == "broken"
        assert "permission denied" in finding(found, "writing").what
        below = in_a_child(lambda place=place: examine_below(place), as_nobody=True)
        assert states(below)["reading"] == "degraded"


def test_every_finding_is_a_sentence_and_says_what_to_do_where_something_can_be_done(store: Store) -> None:
    for found in (examine(store), examine_below(store.root), examine_below(store.root / "none")):
        for finding in found.findings:
            assert finding.what[0].isupper() or finding.what[0] in "/0123456789"
            assert finding.what.endswith(".")
            assert finding.advice is None or finding.state in ("degraded", "broken")


def test_what_was_found_decides_from_then_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "ask_a_witness", lambda _: Witnessed(flock=False, soft=True, map=False))
    assert examine(store).handling == Handling("soft", False)
    assert remembered_or_facts(store.root, store.recall) == Handling("soft", False)
    monkeypatch.undo()
    examine(store)
    assert remembered_or_facts(store.root, store.recall) == Handling("flock", True)


def test_two_examinations_at_once_do_not_meet(store: Store) -> None:
    with store.stage() as one, store.stage() as other:
        assert ask_a_witness(one) == ask_a_witness(other) == Witnessed(flock=True, soft=True, map=True)


# --- locks that lie: Python itself is told to, in every process that is started with this environment

_LIES = {
    "succeeds for everyone": "fcntl.flock = lambda *_: None",
    "is not offered": (
        "import errno\ndef refuse(*_): raise OSError(errno.ENOSYS, 'Function not implemented')\nfcntl.flock = refuse"
    ),
    "fails": "import errno\ndef refuse(*_): raise OSError(errno.EIO, 'I/O error')\nfcntl.flock = refuse",
}


@on_posix
@pytest.mark.parametrize("lie", _LIES)
def test_a_lock_that_excludes_nobody_is_found_out_and_files_take_its_place(
    store: Store, tmp_path: Path, lie: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import fcntl\n{_LIES[lie]}\n")
    code = (
        "import json, sys; from pathlib import Path; from depthhub_cache.store import Store;"
        "from depthhub_cache.doctor.examination import examine;"
        "found = examine(Store(Path(sys.argv[1])));"
        "print(json.dumps([found.handling.locks, {f.name: f.state for f in found.findings}]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(store.root)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    locks, found = json.loads(done.stdout)
    assert locks == "soft"
    assert found["locks"] == "degraded"
    assert "broken" not in found.values()
    assert remembered_or_facts(store.root, store.recall).locks == "soft"


@pytest.mark.parametrize(
    ("system", "testimony", "locks", "state"),
    [
        (LOCAL, Witnessed(flock=True, soft=True), "flock", "good"),
        (NETWORK, Witnessed(flock=True, soft=True), "flock", "good"),
        (UNSHARED, Witnessed(flock=True, soft=True), "soft", "degraded"),
        (UNSHARED, Witnessed(flock=True, soft=False), "flock", "degraded"),
        (LOCAL, Witnessed(flock=False, soft=True), "soft", "degraded"),
        (LOCAL, Witnessed(flock=False, soft=False), "none", "degraded"),
        (LOCAL, Witnessed(flock=True), "flock", "good"),
        (LOCAL, Witnessed(), "flock", "unknown"),
        (UNSHARED, Witnessed(), "soft", "unknown"),
    ],
)
def test_which_lock_is_taken(system: FileSystem, testimony: Witnessed, locks: str, state: str) -> None:
    handling, findings = examination._decide(system, testimony)
    assert handling.locks == locks
    assert {finding.name: finding.state for finding in findings}["locks"] == state


@pytest.mark.parametrize(
    ("system", "works", "mapped", "state"),
    [
        (LOCAL, True, True, "good"),
        (LOCAL, None, True, "good"),
        (LOCAL, False, False, "degraded"),
        (NETWORK, True, False, "degraded"),
        (NETWORK, False, False, "degraded"),
        (FileSystem(), True, True, "good"),
    ],
)
def test_whether_weights_are_mapped(system: FileSystem, works: bool | None, mapped: bool, state: str) -> None:
    handling, findings = examination._decide(system, Witnessed(flock=True, soft=True, map=works))
    assert handling.map is mapped
    assert {finding.name: finding.state for finding in findings}["mapping"] == state


# --- a witness that cannot testify


def other_witness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Another process in the place of the witness, with the same question."""
    witness = tmp_path / "other_witness.py"
    witness.write_text(code)
    monkeypatch.setattr(probes, "_WITNESS", witness)


@on_posix
def test_a_file_system_whose_mapped_pages_kill_is_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, signal\nprint('{\"flock\": true}', flush=True)\nos.kill(os.getpid(), signal.SIGBUS)\n"
    other_witness(monkeypatch, tmp_path, code)
    found = examine(store)
    assert found.handling == Handling("flock", False)
    assert states(found)["mapping"] == "degraded"


def test_a_witness_that_says_nothing_leaves_it_to_the_facts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in (
        "import sys; sys.exit(3)",
        "print('{\"flock\": tr')",
        "print('not JSON')",
        "print('[]')",
        "print('7')",
    ):
        other_witness(monkeypatch, tmp_path, code)
        found = examine(store)
        assert found.handling == Handling("flock", True)
        assert states(found)["locks"] == "unknown"


def test_a_witness_that_hangs_is_not_waited_for(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_witness(monkeypatch, tmp_path, "import time; time.sleep(60)")
    monkeypatch.setattr(probes, "_WITNESS_TIMEOUT", 0.5)
    began = time.monotonic()
    assert states(examine(store))["locks"] == "unknown"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("python", ["", None, "/nowhere/python"])
def test_without_a_python_to_start_nothing_is_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch, python: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert states(examine(store))["locks"] == "unknown"


def test_a_program_that_is_no_python_is_never_started_as_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was started"))
    assert states(examine(store))["locks"] == "unknown"


# --- file systems that do not keep what is needed


def unlink_first(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    time.sleep(0.02)
    source.rename(target)


def copy_slowly(source: Path, target: Path) -> None:
    data = source.read_bytes()
    target.write_bytes(data[:100])
    time.sleep(0.02)
    target.write_bytes(data)
    source.unlink()


def cannot(*_: object) -> Any:
    raise CacheNotWritableError("Cannot write to the cache: not here.", path=Path("x"))


@pytest.mark.parametrize(
    ("name", "instead", "check", "state"),
    [
        ("put", unlink_first, "file rename", "broken"),
        ("put", copy_slowly, "file rename", "broken"),
        ("put", cannot, "file rename", "broken"),
        ("publish_folder", lambda *_: True, "folder rename", "broken"),
        ("publish_folder", lambda *_: False, "folder rename", "broken"),
        ("publish_folder", cannot, "folder rename", "broken"),
        ("exchange_folder", lambda *_: False, "exchange of names", "degraded"),
        ("exchange_folder", lambda *_: True, "exchange of names", "broken"),
        ("exchange_folder", cannot, "exchange of names", "unknown"),
    ],
)
def test_what_does_not_work_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., Any], check: str, state: str
) -> None:
    real = getattr(disk, name)

    def lying(source: Path, target: Path) -> Any:
        # the label and the refs of the cache are not part of the experiments
        return instead(source, target) if target.parent.parent.name == "tmp" else real(source, target)

    monkeypatch.setattr(disk, name, lying)
    found = examine(store)
    assert states(found)[check] == state
    assert [other for other, bad in states(found).items() if bad in ("broken", "degraded")] == (
        [check] if state != "unknown" else []
    )


@pytest.mark.parametrize(("ahead", "word"), [(3600.0, "behind"), (-86400.0, "ahead of")])
def test_a_clock_that_differs_is_told(store: Store, monkeypatch: pytest.MonkeyPatch, ahead: float, word: str) -> None:
    real = time.time
    with store.stage() as staging:
        monkeypatch.setattr(time, "time", lambda: real() + ahead)
        found = probes.clock(staging)
    assert found.state == "degraded"
    assert f"{abs(ahead):,.0f} s {word}" in found.what


# --- places that cannot be written


@on_linux
def test_a_read_only_mount_is_examined_as_far_as_possible_and_stays_as_it_is(mount: Mount) -> None:
    folder = mount("size=4m")
    store = Store(folder / "cache")
    publish(store, "one")
    before = files_under(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    found = examine(store)
    assert states(found)["writing"] == "degraded"
    assert "read-only" in finding(found, "writing").what
    assert "can be loaded" in finding(found, "writing").what
    assert (states(found)["mapping"], found.handling) == ("good", Handling("flock", True))
    assert files_under(folder) == before


@on_linux
def test_a_read_only_mount_with_nothing_in_it_is_broken(mount: Mount) -> None:
    folder = mount("size=4m,ro")
    found = examine(Store(folder / "cache"))
    assert states(found)["writing"] == "broken"
    assert "DEPTHHUB_CACHE" in finding(found, "writing").what


@on_linux
def test_a_full_disk_is_broken(mount: Mount) -> None:
    folder = mount("size=64k")
    (folder / "big").write_bytes(bytes(64 << 10))
    found = examine(Store(folder / "cache"))
    assert (states(found)["writing"], states(found)["space"]) == ("broken", "broken")
    assert "cache gc" in (finding(found, "space").advice or "")


@on_linux
def test_a_small_disk_is_degraded(mount: Mount) -> None:
    found = finding(examine(Store(mount("size=200m") / "cache")), "space")
    assert found.state == "degraded"
    assert "cache gc --max-size" in found.advice, "without it no entry goes"


@on_linux
def test_a_disk_without_room_for_another_name_is_broken(mount: Mount) -> None:
    folder = mount("size=4g,nr_inodes=3")
    for name in "abc":
        try:
            (folder / name).touch()
        except OSError:
            break
    found = examine(Store(folder / "cache"))
    assert states(found)["space"] == "broken"
    assert "inodes" in finding(found, "space").what


def test_a_file_in_the_place_of_the_cache_is_broken(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    found = examine(Store(tmp_path / "cache"))
    assert (states(found)["folder"], states(found)["writing"]) == ("broken", "broken")
    assert "is not a folder" in finding(found, "folder").what


@needs_fork
def test_another_users_cache_is_broken_for_who_may_not_write_it(open_folder: Path) -> None:
    (open_folder / "cache").mkdir(mode=0o755)
    found = in_a_child(lambda: examine(Store(open_folder / "cache")), as_nobody=True)
    assert states(found)["writing"] == "broken"
    assert "permission denied" in finding(found, "writing").what
    assert "may not change" in finding(found, "folder").what


@needs_fork
def test_a_folder_that_may_be_written_and_not_listed_is_examined(open_folder: Path) -> None:
    (open_folder / "cache").mkdir()
    (open_folder / "cache").chmod(0o333)
    found = in_a_child(lambda: examine(Store(open_folder / "cache")), as_nobody=True)
    assert states(found)["folder"] == "degraded"


# --- whose the folder is


@on_posix
@pytest.mark.parametrize(
    ("mode", "state", "words"),
    [
        (0o700, "good", "belongs to"),
        (0o755, "good", "belongs to"),
        (0o775, "degraded", "other groups"),
        (0o2775, "good", "shared"),
        (0o777, "degraded", "Every user"),
        (0o3777, "good", "shared"),
    ],
)
def test_permissions_are_said_in_words(store: Store, mode: int, state: str, words: str) -> None:
    store.root.chmod(mode)
    found = finding(examine(store), "folder")
    assert (found.state, words in found.what) == (state, True)
    assert f"mode {mode:04o}" in found.what


@on_posix
def test_the_umask_is_told_and_left_as_it_is(store: Store, umask: Callable[[int], int]) -> None:
    umask(0o027)
    assert "the umask is 027" in finding(examine(store), "folder").what
    assert umask(0o022) == 0o027


# --- caches that are only read


def test_a_cache_below_is_only_read(store: Store) -> None:
    publish(store, "one"), publish(store, "two")
    before = files_under(store.root)
    found = examine_below(store.root)
    assert files_under(store.root) == before
    assert set(states(found).values()) == {"good"}
    assert "2 entries" in finding(found, "reading").what
    assert found.handling == Handling("flock", True)


def test_a_cache_below_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing, empty = examine_below(tmp_path / "none"), examine_below(tmp_path)
    assert (states(missing)["reading"], states(empty)["reading"]) == ("degraded", "degraded")
    assert "is not there" in finding(missing, "reading").what
    assert "holds no cache" in finding(empty, "reading").what
    assert not (tmp_path / "none").exists()


@needs_fork
def test_a_cache_below_that_may_not_be_read_is_told(open_folder: Path) -> None:
    store = Store(open_folder / "cache")
    publish(store, "one")
    (store.root / "v1" / "entries").chmod(0o700)
    found = in_a_child(lambda: examine_below(store.root), as_nobody=True)
    assert states(found)["reading"] == "degraded"
    assert "permission" in finding(found, "reading").what.lower()


def test_what_is_remembered_says_of_which_file_system(store: Store) -> None:
    examine(store)
    device = store.root.stat().st_dev
    remembered = store.recall(ref_name(device))
    assert remembered == {"locks": "flock", "map": True, "type": file_system_of(store.root).type}
