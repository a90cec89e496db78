"""Many sources at once: side by side on the line, one after the other in memory, and each outcome for itself."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest

from depthhub import NotFoundError, OptionError, SourceError, prewarm
from depthhub.prewarming import SIDE_BY_SIDE
from depthhub.progress import Progress
from depthhub.testing import Fault, LocalHub, make_checkpoint
from depthhub.testing.answers import Answer
from depthhub.testing.faults import Line
from depthhub_cache.store import Store

from .conftest import Python, flip

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MANY = 2 * SIDE_BY_SIDE + 1


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("many")
    return [make_checkpoint(folder / f"{seed}.pth", encoder="tiny", seed=seed) for seed in range(MANY)]


@pytest.fixture
def sources(local_hub: LocalHub, checkpoints: list[Path]) -> list[str]:
    for number, path in enumerate(checkpoints):
        local_hub.add_file(f"me/m{number}", "weights.pth", path)
    return [f"me/m{number}/weights.pth" for number in range(MANY)]


@dataclass
class Traffic:
    """How many answers a server is in the middle of, now and at most."""

    now: int = 0
    most: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def change(self, by: int) -> None:
        with self.guard:
            self.now += by
            self.most = max(self.most, self.now)


@dataclass(frozen=True)
class Slow(Fault):
    """A line on which every file takes a while; counts those that are on it."""

    traffic: Traffic

    def send(self, answer: Answer, line: Line) -> None:
        self.traffic.change(1)
        line.wait(0.2)
        for chunk in answer.read():
            line.send(chunk)
        self.traffic.change(-1)


@dataclass(frozen=True)
class SlowToAnswer(Fault):
    of_content = False
    traffic: Traffic

    def before(self, line: Line) -> None:
        self.traffic.change(1)
        line.wait(0.2)
        self.traffic.change(-1)


def test_downloads_run_side_by_side_and_no_more_than_a_few(
    local_hub: LocalHub, sources: list[str], cache: Path
) -> None:
    files, questions = Traffic(), Traffic()
    local_hub.inject(Slow(files), times=None)
    local_hub.inject(SlowToAnswer(questions), times=None, path="/api/")
    made = prewarm(sources, family="v2")
    assert files.most == questions.most == SIDE_BY_SIDE
    assert [one.source.partition("/w")[0] for one in made] == [f"hf://me/m{number}" for number in range(MANY)]
    assert len({one.key for one in made}) == MANY


def test_conversions_run_one_after_the_other(local_hub: LocalHub, sources: list[str], cache: Path) -> None:
    told: list[Progress] = []
    prewarm(sources, family="v2", progress=told.append)
    converting = [key for key, _ in groupby(one.source for one in told if one.stage == "converting")]
    assert len(converting) == len(set(converting)) == MANY  # each begins when the one before is through
    assert {one.detail for one in told if one.stage == "waiting"} <= {"another conversion is under way"}


PEAK = """
import sys
from depthhub import prewarm
prewarm(sys.argv[1:], family="v2")
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it tells of its peak in /proc")
def test_the_memory_of_many_is_that_of_one(
    local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: Python
) -> None:
    peaks = []
    paths = [make_checkpoint(tmp_path / f"{seed}.pth", encoder="vits", seed=seed) for seed in range(3)]
    for number, path in enumerate(paths):
        local_hub.add_file(f"me/s{number}", "weights.pth", path)
    for count in (1, 3):
        monkeypatch.setenv("DEPTHHUB_CACHE", str(tmp_path / f"cache{count}"))
        peaks.append(int(python(PEAK, *(f"me/s{number}" for number in range(count))).stdout))
    one_more = paths[0].stat().st_size
    assert peaks[1] - peaks[0] < one_more / 2, peaks


def test_what_fails_hinders_nobody_and_is_raised_at_the_end_the_first_one_first(
    local_hub: LocalHub, sources: list[str], cache: Path
) -> None:
    local_hub.inject(Fault.stall(0.5), times=None, path="me/gone")  # the first to be asked for, the last to fail
    with pytest.raises(NotFoundError, match="me/gone"):
        prewarm(["me/gone/x.pth", *sources[:3], "me/none/x.pth"], family="v2")
    assert len(list(Store(cache).entries())) == 3


def test_sources_that_mean_the_same_are_fetched_once(local_hub: LocalHub, sources: list[str], cache: Path) -> None:
    one, other, third = prewarm(["me/m0", "me/m0/weights.pth", "hf://me/m0"], family="v2")
    assert one.key == other.key == third.key
    assert sorted(made.cached for made in (one, other, third)) == [False, True, True]
    assert len([request for request in local_hub.requests if request.host == "cdn"]) == 1


def test_all_are_parsed_before_anything_is_done(local_hub: LocalHub, sources: list[str], cache: Path) -> None:
    with pytest.raises(SourceError):
        prewarm([sources[0], "a b"], family="v2")
    with pytest.raises(OptionError, match="lockfile"):
        prewarm()
    with pytest.raises(TypeError, match="list of sources"):
        prewarm("vits")
    assert local_hub.requests == []


def test_raising_in_the_callback_ends_them_all_and_leaves_nothing_half_made(
    local_hub: LocalHub, sources: list[str], cache: Path
) -> None:
    local_hub.inject(Fault.trickle(size=1 << 16, pause=0.05), times=None)

    class EnoughError(Exception):
        pass

    def progress(one: Progress) -> None:
        if one.stage == "downloading" and one.done > 1 << 17:
            raise EnoughError

    with pytest.raises(EnoughError):
        prewarm(sources, family="v2", progress=progress)
    _until(lambda: not _threads())
    assert [path for path in cache.rglob("*") if path.suffix in (".part", ".safetensors")] == []
    local_hub.heal()
    assert len(prewarm(sources, family="v2")) == MANY


def _threads() -> Iterable[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("depthhub-prewarm")]


def _until(claim: object, seconds: float = 20.0) -> None:
    assert callable(claim)
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_where_all_are_there_neither_torch_nor_the_hubs_client_is_imported(
    local_hub: LocalHub, sources: list[str], cache: Path, python: Python
) -> None:
    prewarm(sources[:4], family="v2")
    local_hub.clear_log()
    python(
        "import sys\n"
        "from depthhub import prewarm\n"
        "assert all(made.cached for made in prewarm(sys.argv[1:], family='v2'))\n"
        "assert not {'torch', 'huggingface_hub', 'fsspec', 'tqdm'} & set(sys.modules)",
        *sources[:4],
    )
    assert local_hub.requests == []


def test_a_process_that_ends_with_an_error_does_not_wait_for_what_is_left(
    local_hub: LocalHub, sources: list[str], cache: Path
) -> None:
    """An exception of the caller's own, in the middle of slow downloads."""
    local_hub.inject(Fault.trickle(size=1 << 14, pause=0.1), times=None)
    code = (
        "import sys\n"
        "from depthhub.prewarming import outcomes\n"
        "from depthhub.steps.request import Request\n"
        "def progress(one):\n"
        "    if one.stage == 'downloading' and one.done: raise SystemExit(7)\n"
        "list(outcomes([Request.parse(text, family='v2', progress=progress) for text in sys.argv[1:]]))"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *sources], check=False, timeout=60)
    assert done.returncode == 7
    assert time.monotonic() - began < 15


def test_what_is_there_is_not_collected_before_its_turn(
    sources: list[str], checkpoints: list[Path], local_hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standing budget has room for two; what is asked for last is the longest unused."""
    (there,) = prewarm(sources[:1], family="v2")
    others = checkpoints[1 : SIDE_BY_SIDE + 2]
    assert len(others) > SIDE_BY_SIDE
    local_hub.close()
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", str(2 * there.size + 1000))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    made = prewarm([*others, *sources[:1]], family="v2")
    assert made[-1].cached
    assert made[-1].path == there.path


def test_a_kept_original_is_not_collected_before_its_turn(
    sources: list[str], local_hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    many = sources[: SIDE_BY_SIDE + 2]
    size = prewarm(many, family="v2")[0].size
    local_hub.close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", str(size))
    assert len(prewarm(many, family="v2", dtype="float16")) == len(many)


def test_a_kept_original_is_there_when_its_entry_is_found_damaged_in_its_turn(
    sources: list[str], local_hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    many = sources[: SIDE_BY_SIDE + 2]
    made = prewarm(many, family="v2")
    local_hub.close()
    for one in made:
        flip(one.path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", str(made[0].size))
    assert len(prewarm(many, family="v2", verify=True)) == len(many)
