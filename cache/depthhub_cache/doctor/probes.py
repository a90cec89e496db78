"""Experiments in a staging directory: what a file system really does, whatever it says of itself.

Each gives a Finding, or raises what the system raised. What other machines see of it, none of them can tell.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import disk
from ..staging import Staging

State = Literal["good", "degraded", "broken", "unknown"]
"""degraded: all works, but slower or less safely. broken: something that is needed does not work."""

_ROUNDS = 12
_WITNESS = Path(__file__).with_name("witness.py")
_WITNESS_TIMEOUT = 30.0
_CLOCKS_AGREE = 60.0
_ELSEWHERE = "Keep the cache on another file system: name a folder there with DEPTHHUB_CACHE."


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. name: what was examined. what: a sentence for people. advice: what to do or to set, if anything."""

    name: str
    state: State
    what: str
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """What another process saw; None: nothing is known. flock, soft: that lock excluded it. map: mapping works."""

    flock: bool | None = None
    soft: bool | None = None
    map: bool | None = None


def ask_a_witness(staging: Staging) -> Witnessed:
    """Hold a lock of each kind, and ask a fresh process whether it gets them, and whether it can map a file."""
    from filelock import FileLock, SoftFileLock

    if not sys.executable or getattr(sys, "frozen", False) or not _WITNESS.is_file():
        return Witnessed()  # the program that runs here is no Python that could be started
    data = bytes(range(256)) * 256
    mapped = staging.add("to map", data)
    seen: dict[str, bool] = {}
    locks: dict[str, str] = {}
    with ExitStack() as held:
        for kind, lock_type in (("flock", FileLock), ("soft", SoftFileLock)):
            lock = lock_type(str(staging.path / f"{kind}.lock"))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # filelock says so where it falls back to the other kind
                    lock.acquire(timeout=0)
            except (OSError, NotImplementedError):
                seen[kind] = False
                continue
            held.callback(_release, lock)
            if type(lock) is lock_type:
                locks[kind] = lock.lock_file
            else:
                seen[kind] = False
        question = {"path": sys.path, "locks": locks, "map": str(mapped), "sha256": hashlib.sha256(data).hexdigest()}
        seen |= _answers_of_a_witness(json.dumps(question))
    return Witnessed(flock=seen.get("flock"), soft=seen.get("soft"), map=seen.get("map"))


def folder_rename(staging: Staging) -> Finding:
    """How an entry is published: a folder gets a free name in one step, and is refused one that is taken."""
    name = "folder rename"
    one, other, free = _folder(staging, "one"), _folder(staging, "other"), staging.path / "free"
    if disk.publish_folder(one, other) or _content(other) != b"other":
        return Finding(name, "broken", "A folder takes the name of another that is not empty.", _ELSEWHERE)
    if not disk.publish_folder(one, free) or _content(free) != b"one" or os.path.lexists(one):
        return Finding(name, "broken", "A folder cannot be renamed.", _ELSEWHERE)
    return Finding(name, "good", "A folder gets a free name in one step, and is refused one that is taken.")


def file_rename(staging: Staging) -> Finding:
    """How a ref is replaced: whoever reads meanwhile sees the old file or the new one."""
    name, target = "file rename", staging.path / "renamed"
    contents = [letter * 4096 for letter in (b"a", b"b")]
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set() and not wrong:
            try:
                if target.read_bytes() not in contents:
                    wrong.append("neither the old file nor the new one")
            except FileNotFoundError:
                wrong.append("no file")
            except OSError:  # Windows, for a moment
                continue

    def replace(content: bytes) -> None:
        staging.add("next", content)
        staging.place("next", target)

    replace(contents[0])
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        for turn in range(_ROUNDS):
            replace(contents[turn % 2])
            time.sleep(0.001)
    finally:
        done.set()
        reader.join()
    if wrong:
        return Finding(name, "broken", f"While a file took the name of another, a reader found {wrong[0]}.", _ELSEWHERE)
    return Finding(name, "good", "While a file takes the name of another, readers see the one or the other.")


def exchange_of_names(staging: Staging) -> Finding:
    """How a broken entry is replaced without a moment in which there is none."""
    name = "exchange of names"
    one, other = _folder(staging, "first"), _folder(staging, "second")
    if not disk.exchange_folder(one, other):
        return Finding(
            name,
            "degraded",
            "Two names cannot be exchanged in one step: while a broken entry is replaced, there is none for a moment.",
        )
    if (_content(one), _content(other)) != (b"second", b"first"):
        return Finding(name, "broken", "Two names that were exchanged do not lead to each other's files.", _ELSEWHERE)
    return Finding(name, "good", "Two names can be exchanged in one step.")


def folder_sync(staging: Staging) -> Finding:
    """Whether names, too, can be brought to the disk."""
    name = "folder sync"
    if os.name == "nt":
        return Finding(name, "unknown", "Windows has no way to ask for it.")
    descriptor = os.open(staging.path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        return Finding(
            name,
            "degraded",
            f"Names cannot be brought to the disk ({error.strerror}): after a power failure the last entries may be "
            "missing, and are made again.",
        )
    finally:
        os.close(descriptor)
    return Finding(name, "good", "Names can be brought to the disk.")


def symbolic_links(staging: Staging) -> Finding:
    """The cache needs none; other caches beside it may."""
    name, target = "symbolic links", staging.add("linked", b"")
    try:
        (staging.path / "link").symlink_to(target)
    except (OSError, NotImplementedError):
        return Finding(name, "good", "Symbolic links cannot be made; the cache needs none.")
    return Finding(name, "good", "Symbolic links can be made; the cache needs none.")


def letter_case(staging: Staging) -> Finding:
    """Whether `a` and `A` are one name."""
    name = "letter case"
    staging.add("letters-a", b"")
    if (staging.path / "LETTERS-A").exists():
        return Finding(name, "good", "Upper and lower case are one name here; the cache's own names are lower case.")
    return Finding(name, "good", "Upper and lower case are different names.")


def clock(staging: Staging) -> Finding:
    """Whether the times that the file system writes are ours."""
    name = "clock"
    before = time.time()
    written = staging.add("now", b"").stat().st_mtime
    after = time.time()
    ahead = written - after if written > after else min(written - before, 0.0)
    if abs(ahead) <= _CLOCKS_AGREE:
        return Finding(name, "good", "The times that the file system writes are this machine's.")
    return Finding(
        name,
        "degraded",
        f"The file system's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's: what "
        "was used last, and what is old enough to be removed, is judged wrongly by as much.",
        "Set the clocks of both machines from one source (NTP).",
    )


def _answers_of_a_witness(question: str) -> dict[str, bool]:
    command = [sys.executable, "-I", str(_WITNESS), question]
    try:
        done = subprocess.run(  # noqa: S603  our own file, by the Python that runs
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_WITNESS_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    answers: dict[str, bool] = {}
    for line in done.stdout.splitlines():
        with suppress(ValueError):  # what else may print there when a Python starts; or a line that was cut off
            said = json.loads(line)
            answers |= {name: word is True for name, word in said.items()} if isinstance(said, dict) else {}
    if done.returncode < 0 and "map" not in answers:
        answers["map"] = False  # it got a signal instead of the bytes
    return answers


def _release(lock: object) -> None:
    with suppress(OSError):
        lock.release()  # type: ignore[attr-defined]


def _folder(staging: Staging, name: str) -> Path:
    return staging.gather(name, {"content": staging.add(f"{name}.content", name.encode("ascii"))})


def _content(folder: Path) -> bytes:
    return (folder / "content").read_bytes()
