"""Processes that want the same thing at the same time, or that die on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from depthhub import from_pretrained
from depthhub.testing import Fault, LocalHub, make_checkpoint

from .conftest import golden_difference

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(sys.platform == "win32", reason="kills processes as POSIX does"),
]

PREWARM = "import depthhub; print(depthhub.prewarm(['owner/repo/tiny.pth'], family='v2')[0].cached)"


def start() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PREWARM], stdout=subprocess.PIPE, text=True)


def test_workers_that_start_together_download_once(local_hub: LocalHub, tiny: Path, cache: Path) -> None:
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    local_hub.inject(Fault.trickle(size=200_000, pause=0.05))  # long enough for all of them to arrive
    workers = [start() for _ in range(4)]
    said = sorted(worker.communicate(timeout=120)[0].strip() for worker in workers)
    assert said == ["False", "True", "True", "True"]
    assert sum(request.host == "cdn" for request in local_hub.requests) == 1
    assert len(list(cache.rglob("weights.safetensors"))) == 1


def test_a_killed_download_is_taken_up_where_it_ended(local_hub: LocalHub, tiny: Path, cache: Path) -> None:
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    local_hub.inject(Fault.stall(60, after=3_000_000))
    worker = start()
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 2_000_000 for path in cache.rglob("*.part")):
        assert time.monotonic() < deadline
        assert worker.poll() is None
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    local_hub.clear_log()
    model = from_pretrained("owner/repo/tiny.pth", family="v2")
    assert golden_difference(model, "v2-tiny") <= 1e-4
    [request] = [request for request in local_hub.requests if request.host == "cdn"]
    assert request.range is not None
    assert not list(cache.rglob("*.part"))


FORK = """
import os, sys, threading
from depthhub import from_pretrained
converting, goes_on = threading.Event(), threading.Event()
def slowly(progress):
    if progress.stage == "converting":
        converting.set()
        goes_on.wait()
options = {"family": "v2", "cache_dir": sys.argv[2]}
other = threading.Thread(target=from_pretrained, args=(sys.argv[1],), kwargs={**options, "progress": slowly})
other.start()
converting.wait()
if child := os.fork():
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    goes_on.set()
    other.join()
    sys.exit(code)
from_pretrained(sys.argv[1], dtype="float16", **options)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_was_forked_during_a_conversion_does_not_wait_for_it(tiny: Path, tmp_path: Path) -> None:
    run = [sys.executable, "-c", FORK, str(tiny), str(tmp_path / "cache")]
    subprocess.run(run, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=120)


AFTER_COMPUTING = """
import os, signal, sys, torch
from depthhub import from_pretrained
torch.set_num_threads(2)
torch.ones(1 << 22).mul_(2)  # torch's other threads begin now, and the child has none of them
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(60)
for path in sys.argv[2:]:
    for dtype in (None, "float16"):
        from_pretrained(path, family="v2", dtype=dtype, cache_dir=sys.argv[1])
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["plain", "joined", "twins", "turned", "negative", "late"])
def test_a_child_converts_without_the_threads_that_its_parent_computed_with(
    tiny: Path, tmp_path: Path, kind: str
) -> None:
    state, path = torch.load(tiny), tmp_path / "weights.pth"
    assert max(tensor.numel() for tensor in state.values()) > 1 << 15, "else one thread would do it all"
    match kind:
        case "joined":
            path = make_checkpoint(tmp_path / "weights.safetensors", layout="transformers")
        case "twins":
            torch.save({"model": state, "ema": {key: tensor.clone() for key, tensor in state.items()}}, path)
        case "turned":
            torch.save({key: t.mT.contiguous().mT if t.dim() == 2 else t for key, t in state.items()}, path)
        case "negative":
            torch.save({key: tensor.neg()._neg_view() for key, tensor in state.items()}, path)
        case "late":
            for tensor in state.values():
                tensor.view(-1)[0] = 0  # it has to be looked through for a number
            torch.save(state, path)
        case _:
            path = tiny
    run = [sys.executable, "-c", AFTER_COMPUTING, str(tmp_path / "cache"), str(path)]
    subprocess.run(run, check=True, timeout=120)


def test_a_progress_that_loads_another_model_does_not_wait_for_itself(tiny: Path, tmp_path: Path) -> None:
    code = """
import sys
from depthhub import from_pretrained
def nested(progress):
    if progress.stage == "converting" and not progress.done:
        from_pretrained(sys.argv[1], family="v1", cache_dir=sys.argv[2])
from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[2], progress=nested)
"""
    subprocess.run([sys.executable, "-c", code, str(tiny), str(tmp_path / "cache")], check=True, timeout=120)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_loads_what_is_deterministic_without_the_threads_of_its_parent(tiny: Path, tmp_path: Path) -> None:
    """Told so, torch fills by all threads what it makes empty; such is a model before it has its weights."""
    told = AFTER_COMPUTING.replace("torch.set_num", "torch.use_deterministic_algorithms(True)\ntorch.set_num")
    assert told != AFTER_COMPUTING
    subprocess.run([sys.executable, "-c", told, str(tmp_path / "cache"), str(tiny)], check=True, timeout=120)
