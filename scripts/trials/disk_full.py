"""A disk that is full at every write of a first call: of every size, at every stage, of bytes, of names, of quota.

Each call must end with one clear error that names the space and the setting, leave nothing half visible and nothing
in `tmp`, and succeed once there is space. From Python and from the command line.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .children import Ended, Tell, in_a_child
from .mounts import change_memory, mount_memory, unmount, why_no_mounts
from .ready import get_ready
from .report import Report
from .trial import Count, Options
from .workplace import workplace

if TYPE_CHECKING:
    from .samples import Known

COUNTS: dict[str, Count] = {}
SWITCHES: dict[str, str] = {}

_PAGE = 4096
_AMPLE = "size=64m,nr_inodes=0"
_TOLD_BY_BOTH = ("remembering", "publishing", "after publishing")
_STAGES = ("resolving", "downloading", "converting", "writing", *_TOLD_BY_BOTH)
_SPACE = ("no space is left", "bytes are needed and", "the file would be larger than")
_ENOUGH = 1 << 16

Spoil = Callable[[Tell], Tell]
"""Called in the child: changes what it may do, or what happens when it tells where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The cache under trial, on `place`. relax: gives it space."""

    place: Path
    known: Known
    report: Report
    short: bool
    relax: Callable[[], object]

    @property
    def root(self) -> Path:
        return self.place / "cache"


def run(options: Options) -> Report:
    from .hub_process import hub_process
    from .samples import offer

    report = Report("disk-full")
    with workplace(options) as folder:
        get_ready(folder)
        with hub_process() as hub:
            known = offer(hub, folder)
            missing = why_no_mounts()
            if missing is None:
                _on_small_disks(folder / "disk", known, report, short=options.short)
            else:
                report.note(f"the rows of small disks are missing: {missing}")
            _with_small_files(folder / "any", known, report, short=options.short)
    for stage in ("downloading", "writing", "publishing"):
        report.require(f"refused in one clear error: {stage}")
    return report


def _on_small_disks(place: Path, known: Known, report: Report, *, short: bool) -> None:
    relax = partial(change_memory, place, _AMPLE)
    disk = Disk(place=place, known=known, report=report, short=short, relax=relax)

    def of_pages(what: str, pages: int, spoil: Spoil = _unspoilt) -> bool:
        return _attempt(what, disk, partial(_mount, place, f"size={pages * _PAGE}"), spoil)

    def of_names(what: str, names: int) -> bool:
        return _attempt(what, disk, partial(_mount, place, f"size=64m,nr_inodes={names}"), _unspoilt)

    _step("a disk of every size, to the page", of_pages, disk)
    _step("the same, and the system tells of more than there is (a quota)", partial(of_pages, spoil=_lie), disk)
    _step("a disk of every number of names", of_names, disk)
    _at_each_stage("filled by others", lambda stage, left: partial(_fill, stage, place, left), disk, (0, 1, 2, 3))
    unmount(place)


def _with_small_files(place: Path, known: Known, report: Report, *, short: bool) -> None:
    """A limit on the size of a file, which a process may have on any disk."""
    disk = Disk(place=place, known=known, report=report, short=short, relax=lambda: None)

    def of_limit(what: str, pages: int) -> bool:
        return _attempt(what, disk, partial(_remove, place), partial(_limit, pages * _PAGE))

    _step("files of every size, to the page", of_limit, disk)
    _at_each_stage("files limited", lambda stage, limit: partial(_limit_at, stage, limit), disk, (0, 1, 100, 1000))


def _step(what: str, attempt: Callable[[str, int], bool], disk: Disk) -> None:
    """From 1 to what is enough, every number; in a short run some."""
    number = 1
    while not attempt(what, number):
        number = number * 4 if disk.short else number + 1
        if number > _ENOUGH:
            disk.report.violated(what, f"{number:,} is not enough")
            return
    if not disk.short:
        disk.report.note(f"{what}: {number:,} is enough")


def _at_each_stage(what: str, spoil: Callable[[str, int], Spoil], disk: Disk, numbers: tuple[int, ...]) -> None:
    prepare = partial(_mount, disk.place, "size=8m") if disk.place.is_mount() else partial(_remove, disk.place)
    for stage in _STAGES:
        for number in numbers[:1] if disk.short else numbers:
            _attempt(f"{what}: {stage}", disk, prepare, spoil(stage, number), told_by_both=stage in _TOLD_BY_BOTH)


def _attempt(what: str, disk: Disk, prepare: Callable[[], object], spoil: Spoil, *, told_by_both: bool = True) -> bool:
    """A first call in each way; whether it succeeded in both, and all that was to hold, held.

    told_by_both: the command, which reports to nobody, tells the stage that `spoil` waits for too.
    """
    from .calls import by_call, by_command, succeeded

    ways = (by_call, by_command) if told_by_both else (by_call,)
    if disk.short:  # one of them, in turn
        ways = ways[disk.report.done(what) % len(ways) :][:1]
    done = []
    for way in ways:
        prepare()
        ended = in_a_child(lambda tell, way=way: way(disk.root, _tapped(spoil(tell))))  # type: ignore[misc]
        disk.report.did(what)
        done.append(succeeded(ended, disk.known))
        if not done[-1]:
            _judge(what, ended, disk)
        _look(what, disk)
    return all(done)


def _judge(what: str, ended: Ended, disk: Disk) -> None:
    """It was refused: by one clear error."""
    from .calls import wrong_with_refusal

    disk.report.did(f"refused in one clear error: {ended.last_mark or 'at first'}")
    wrong = wrong_with_refusal(ended, "DEPTHHUB_CACHE")
    text = str(ended.value)
    if wrong is None and not any(words in text for words in _SPACE):
        wrong = f"the error does not name the space: {text}"
    if wrong is not None:
        disk.report.violated(what, f"after {ended.last_mark}: {wrong}")


def _look(what: str, disk: Disk) -> None:
    """Nothing half visible, nothing left, and all is well once there is space."""
    from depthhub_cache.store import Store

    from .calls import by_call, succeeded
    from .soundness import rubbish, unsound

    store = Store(disk.root)
    for wrong in (*unsound(store, expected=disk.known.expected), *rubbish(store)):
        disk.report.violated(what, wrong)
    disk.relax()
    again = in_a_child(lambda tell: by_call(disk.root, tell))
    disk.report.did("succeeded once there was space")
    if not succeeded(again, disk.known):
        disk.report.violated("succeeded once there was space", f"{what}: {again}")


def _tapped(tell: Tell) -> Tell:
    from .jobs import tell_of

    tell_of(tell, remember="remembering", publish="publishing")
    return tell


def _mount(place: Path, options: str) -> None:
    """A fresh disk."""
    if place.is_mount():
        unmount(place)
    mount_memory(place, options)


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)


def _unspoilt(tell: Tell) -> Tell:
    return tell


def _lie(tell: Tell) -> Tell:
    """In this process the disk seems to be large."""
    plenty = 1 << 40
    honest = os.statvfs

    def statvfs(path: Any) -> os.statvfs_result:
        found = list(honest(path))
        found[2:5] = [plenty // found[1]] * 3
        return os.statvfs_result(found)

    os.statvfs = statvfs
    return tell


def _fill(stage: str, place: Path, left: int, tell: Tell) -> Tell:
    """When this process comes to `stage`, others fill the disk but for `left` pages."""
    filled = False

    def told(mark: str) -> None:
        nonlocal filled
        tell(mark)
        if mark == stage and not filled:
            filled = True
            state = os.statvfs(place)
            (place / "others").write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - left * _PAGE)))

    return told


def _limit(limit: int, tell: Tell) -> Tell:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return tell


def _limit_at(stage: str, limit: int, tell: Tell) -> Tell:
    """When this process comes to `stage`, its files may become so large and no larger."""

    def told(mark: str) -> None:
        tell(mark)
        if mark == stage:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return told
