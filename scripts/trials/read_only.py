"""A cache that cannot be written to: EROFS and EACCES on all of it and on each of its folders, for a random uid.

What is there works for reading. What is missing is made where the folder is not needed for it; else the call ends
with one clear error that names the setting. A folder that cannot even be read may cost an error, never a traceback.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .children import Ended, Tell, in_a_child
from .mounts import change_memory, make_read_only, mount_memory, open_the_way_to, unmount, why_no_mounts
from .ready import get_ready
from .report import Report
from .stranger import HOME, become_one, give_to_one, is_readable_for_one, run_as_one
from .trial import Count, Options
from .workplace import workplace

if TYPE_CHECKING:
    from .samples import Known

COUNTS = {"folders": Count(short=3, full=1000), "strangers": Count(short=1, full=4)}
SWITCHES: dict[str, str] = {}

State = Literal["present", "absent"]
Outcome = Literal["works", "refused", "not found", "works or is refused"]

_AT_MOST = 3600.0
_FOREIGN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What is in the way of writing, put before one folder of a cache. as_stranger: root is not stopped by it.

    stops: before which folders of the cache (`.` is its root) it keeps an entry from being made.
    hides: the folder cannot even be read.
    """

    name: str
    put: Callable[[Path, ExitStack], None]
    as_stranger: bool
    stops: tuple[str, ...]
    hides: bool = False


def run(options: Options) -> Report:
    """In a child, so that the mounts are nobody else's."""
    ended = in_a_child(lambda _: _run(options), seconds=_AT_MOST)
    if ended.how == "done":
        return ended.value
    report = Report("read-only")
    report.violated("the whole matrix", str(ended))
    return report


def _run(options: Options) -> Report:
    from .hub_process import hub_process
    from .samples import offer

    report = Report("read-only")
    chance = options.random()
    why_not = why_no_mounts()
    if why_not is None:
        open_the_way_to(Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2])
    else:
        report.note(f"the rows of EROFS are missing: {why_not}")
    with workplace(options) as folder:
        get_ready(folder)
        with hub_process() as hub:
            known = offer(hub, folder)
            templates = _templates(folder, known)
            obstacles = _OBSTACLES if why_not is None else _OBSTACLES[:-1]
            for obstacle in obstacles:
                for name in _some(_folders(templates["present"]), options["folders"], chance):
                    _each_call(obstacle, name, templates, folder / "place", known, report)
            if why_not is None:
                _whole_file_system(templates, folder / "mounted", known, report)
            _foreign_processes(templates["present"], folder, known, report, options["strangers"])
    for obstacle in obstacles:
        report.require(f"{obstacle.name}, entry present")
        report.require(f"{obstacle.name}, entry absent")
    report.require("refused in one clear error")
    return report


def _each_call(
    obstacle: Obstacle, name: str, templates: dict[State, Path], place: Path, known: Known, report: Report
) -> None:
    """Every call, with the entry and without, while the obstacle is before the folder `name`."""
    for state, template in templates.items():
        for call in _CALLS:
            root = _copy(template, place)
            before = root / _real(name, known)
            if not before.is_dir():  # the entry's own, where there is none
                continue
            expected = _expected(obstacle, name, state, call)
            with ExitStack() as stack:
                if obstacle.as_stranger:
                    give_to_one(root)
                obstacle.put(before, stack)
                ended = in_a_child(partial(_call, call, root, obstacle.as_stranger))
            _judge(f"{obstacle.name}, entry {state}", f"{call} with {name}", ended, expected, known, report)
            _look(root, f"{obstacle.name}, entry {state}", f"{call} with {name}", known, report)


def _whole_file_system(templates: dict[State, Path], place: Path, known: Known, report: Report) -> None:
    """As on a disk with errors, or in an image."""
    for state, template in templates.items():
        what = f"EROFS: the file system, entry {state}"
        mount_memory(place, "size=64m")
        root = _copy(template, place / "cache")
        change_memory(place, "ro,size=64m")
        for call in _CALLS:
            outcome = _expected(None, ".", state, call)
            ended = in_a_child(partial(_call, call, root, False))
            _judge(what, call, ended, outcome, known, report)
            _look(root, what, call, known, report)
        unmount(place)


def _foreign_processes(template: Path, folder: Path, known: Known, report: Report, most: int) -> None:
    """Fresh processes of a random uid without a home: as in a container, from the first import on."""
    if not is_readable_for_one():
        report.note("the rows of fresh processes are missing: this folder cannot be read by other users")
        return
    from .samples import FAMILY, SOURCE

    root = _copy(template, folder / "foreign")
    load = f"import depthhub; depthhub.from_pretrained({SOURCE!r}, family={FAMILY!r}); print('loaded')"
    commands = {
        "from_pretrained": ["-c", load],
        "path": ["-m", "depthhub", "path", SOURCE, "--family", FAMILY],
        "verify": ["-m", "depthhub", "verify", "--deep"],
        "cache info": ["-m", "depthhub", "cache", "info"],
    }
    pull = ["-m", "depthhub", "pull", SOURCE, "--family", FAMILY]
    for home, environment, code in (("a home that does not exist", {"HOME": HOME}, 8), ("no home at all", {}, 2)):
        what = f"a random uid with {home}: another user's cache"
        for call, argv in list(commands.items())[:most]:
            _judge_foreign(what, call, argv, environment | {"DEPTHHUB_CACHE": str(root)}, 0, report)
        what = f"a random uid with {home}: no setting, nowhere to write"
        for argv in [pull][:most]:
            _judge_foreign(what, "pull", argv, environment, code, report, saying="DEPTHHUB_CACHE")
    for wrong in _unsound(root, known):
        report.violated("a random uid with a home that does not exist: another user's cache", wrong)


def _judge_foreign(
    what: str, call: str, argv: list[str], environment: dict[str, str], code: int, report: Report, *, saying: str = ""
) -> None:
    report.did(what)
    try:
        ended = run_as_one(argv, environment, seconds=_FOREIGN_SECONDS)
    except subprocess.TimeoutExpired:
        report.violated(what, f"{call}: hung")
        return
    if ended.returncode != code or "Traceback" in ended.stderr or saying not in ended.stderr:
        report.violated(what, f"{call} ended with {ended.returncode}: {ended.stderr.strip()[-700:]!r}")


# the calls

_CALLS = ("from_pretrained", "prewarm", "cache info", "verify", "path")


def _call(call: str, root: Path, as_stranger: bool, tell: Tell) -> object:
    from .calls import by_call, by_command, by_model
    from .samples import FAMILY, SOURCE

    if as_stranger:
        become_one()
    match call:
        case "from_pretrained":
            return by_model(root, tell)
        case "prewarm":
            return by_call(root, tell)
        case "path":
            return by_command(root, tell, "path", SOURCE, "--family", FAMILY)
        case "verify":
            return by_command(root, tell, "verify", "--deep")
    return by_command(root, tell, *call.split())


def _expected(obstacle: Obstacle | None, name: str, state: State, call: str) -> Outcome:
    """What is documented. obstacle: None stands for a file system that is read-only as a whole."""
    if obstacle is not None and obstacle.hides:
        return "works or is refused"
    if state == "present" or call in ("cache info", "verify"):
        return "works"
    if call == "path":
        return "not found"
    return "refused" if obstacle is None or name in obstacle.stops else "works"


def _judge(what: str, which: str, ended: Ended, expected: Outcome, known: Known, report: Report) -> None:
    from .calls import succeeded, wrong_with_refusal

    report.did(what)
    works, found = succeeded(ended, known), str(ended.value if ended.how == "done" else ended)
    if works:
        report.did("worked")
        wrong = None if expected.startswith("works") else f"worked, and should be {expected}: {found}"
    elif expected == "works":
        wrong = found
    else:
        report.did("refused in one clear error")
        words = ("DEPTHHUB_CACHE",) if expected == "refused" else ()
        wrong = wrong_with_refusal(ended, *words)
        if expected == "not found" and getattr(ended.value, "code", 0) != 3:
            wrong = wrong or f"not the code of what is not in the cache: {found}"
    if wrong is not None:
        report.violated(what, f"{which}: {wrong}")


def _look(root: Path, what: str, which: str, known: Known, report: Report) -> None:
    """Whatever happened, what is visible is whole, and nothing is left."""
    for wrong in _unsound(root, known):
        report.violated(what, f"{which}: {wrong}")


def _unsound(root: Path, known: Known) -> Iterator[str]:
    from depthhub_cache.store import Store

    from .soundness import rubbish, unsound

    yield from unsound(Store(root), expected=known.expected)
    yield from rubbish(Store(root))


# the caches


def _templates(folder: Path, known: Known) -> dict[State, Path]:
    """A cache in which every folder is there, with the entry and without; what others would find."""
    from depthhub_cache.store import Store

    present, absent = folder / "template", folder / "template-without"
    ended = in_a_child(lambda _: _populate(present, known))
    if ended.how != "done":
        raise RuntimeError(f"an undisturbed call {ended}")
    shutil.copytree(present, absent)
    Store(absent).remove(known.key)
    return {"present": present, "absent": absent}


def _populate(root: Path, known: Known) -> None:
    from depthhub import from_pretrained
    from depthhub_cache.identity import ContentHash
    from depthhub_cache.store import Store

    from .samples import FAMILY, SOURCE, publish_sample, sample_sha256, sample_weights
    from .soundness import rubbish

    from_pretrained(SOURCE, family=FAMILY, cache_dir=root)
    store = Store(root)
    with store.stage() as staging:
        kept = staging.add("kept", sample_weights("kept"))
        store.keep(kept, ContentHash(sample_sha256("kept")))
    broken = store.get(publish_sample(store, "broken"))
    if broken is not None:
        store.distrust(broken, "for a trial")
    store.pin(known.key)
    store.unpin(known.key)
    store.lease(broken or next(store.entries())).release()
    if left := list(rubbish(store)):
        raise RuntimeError(f"the template is not clean: {left}")


def _folders(template: Path) -> list[str]:
    """Every folder of a cache, but for those within the quarantine; the two digits of the entry's are written `ab`."""
    [weights] = template.glob("v1/entries/*/*/weights.safetensors")
    names = []
    for path in (template, *sorted(path for path in template.rglob("*") if path.is_dir())):
        name = path.relative_to(template).as_posix()
        if not name.startswith("v1/quarantine/") and not (name.startswith("v1/entries/") and path != weights.parent):
            names.append("v1/entries/ab/key" if path == weights.parent else name)
    return [*names, "v1/entries/ab"]


def _real(name: str, known: Known) -> str:
    return name.replace("entries/ab", f"entries/{known.key[:2]}").replace("/key", f"/{known.key}")


def _some(names: list[str], most: int, chance: random.Random) -> list[str]:
    """All, or the two that every new entry needs and a few by chance."""
    if len(names) <= most:
        return names
    always = ["v1/tmp", "v1/entries/ab"]
    return always + chance.sample([name for name in names if name not in always], max(0, most - len(always)))


def _copy(template: Path, root: Path) -> Path:
    if root.exists():
        for path in (root, *root.rglob("*")):  # what was hidden
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(root)
    shutil.copytree(template, root)
    return root


# the obstacles


def _mode(mode: int) -> Callable[[Path, ExitStack], None]:
    def put(folder: Path, stack: ExitStack) -> None:
        stack.enter_context(_with_mode(folder, mode))

    return put


@contextmanager
def _with_mode(folder: Path, mode: int) -> Iterator[None]:
    before = folder.stat().st_mode
    os.chmod(folder, mode)  # noqa: PTH101  as its name: no following, no surprise
    try:
        yield
    finally:
        folder.chmod(before)


def _mount(folder: Path, stack: ExitStack) -> None:
    make_read_only(folder)
    stack.callback(unmount, folder)


_NEEDED = ("v1/tmp", "v1/entries/ab")
_OBSTACLES = (
    Obstacle(name="EACCES: a folder of mode 555", put=_mode(0o555), as_stranger=True, stops=_NEEDED),
    Obstacle(name="EACCES: a folder of mode 000", put=_mode(0), as_stranger=True, stops=(), hides=True),
    Obstacle(  # and with it all that is below
        name="EROFS: a folder mounted read-only",
        put=_mount,
        as_stranger=False,
        stops=(".", "v1", "v1/entries", *_NEEDED),
    ),
)
