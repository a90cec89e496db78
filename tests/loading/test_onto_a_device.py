"""A model on another device: loaded without a copy in host memory, and without blame for the entry where it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depthhub import OptionError, from_pretrained, prewarm
from depthhub.checkpoint import onto_device as module
from depthhub.checkpoint.onto_device import Plain
from depthhub.steps import build as step
from depthhub.testing import make_checkpoint, reference_image
from depthhub_cache.store import Store

from .conftest import Python

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

PEAK = """
import sys
from pathlib import Path
import torch, depthhub
from depthhub.steps import build
build.usable_device = str  # 'meta' is refused, as it holds no numbers: here that makes it memory outside of the host
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
depthhub.from_pretrained(sys.argv[2], family="v2", cache_dir=sys.argv[3], device="meta")  # what is imported once
Path("/proc/self/clear_refs").write_text("5")
before = peak()
model = depthhub.from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[3], device="meta")
print((peak() - before) * 1024, *{parameter.device.type for parameter in model.parameters()})
"""


LATE = """
import sys, threading, time
import depthhub
from depthhub.steps import build
build.usable_device = str  # 'meta' is refused, as it holds no numbers: here it stands for any device
def load():
    main = threading.main_thread()
    while main.is_alive():
        time.sleep(0.01)
    time.sleep(0.2)  # from now on Python begins no thread that others would wait for
    print(depthhub.from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[2], device="meta").provenance.path)
depthhub.from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[2], device="meta")  # what is imported once
threading.Thread(target=load).start()
"""


class Full(Plain):
    def room(self, *_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")


def test_the_host_never_holds_the_weights(tmp_path: Path, tiny: Path, cache: Path, python: Python) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("tells from /proc how much memory was taken")
    vits = make_checkpoint(tmp_path / "vits.pth", encoder="vits")
    prewarm([vits, tiny], family="v2", cache_dir=cache)
    grown, device = python(PEAK, str(vits), str(tiny), str(cache)).stdout.split()
    assert device == "meta"
    assert int(grown) < 16e6, "of 99 million bytes"


def test_a_device_without_room_leaves_the_entry_and_no_lease(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [made] = prewarm([tiny], family="v2", cache_dir=cache)
    with monkeypatch.context() as patched:
        patched.setattr(step, "usable_device", str)
        patched.setattr(module, "carrier_of", lambda device: Full(torch.device(device)))
        with pytest.raises(OptionError, match="device 'cuda:0' did not take the") as raised:
            from_pretrained(tiny, family="v2", cache_dir=cache, device="cuda:0")
    assert raised.value.option == "device"
    [found] = prewarm([tiny], family="v2", cache_dir=cache)
    assert (found.cached, found.path) == (True, made.path), "nothing is wrong with it"
    assert from_pretrained(tiny, family="v2", cache_dir=cache).provenance.path == made.path


def test_a_process_that_ends_loads_to_a_device_all_the_same(tiny: Path, cache: Path, python: Python) -> None:
    [made] = prewarm([tiny], family="v2", cache_dir=cache)
    assert python(LATE, str(tiny), str(cache)).stdout.strip() == str(made.path)
    assert list(Store(cache).set_aside()) == []


@needs_gpu
def test_on_a_gpu_the_depth_is_that_of_the_cpu(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cuda.matmul.allow_tf32", False)
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", False)
    pixels = torch.from_numpy(reference_image(70, 98))
    with torch.inference_mode():
        expected = from_pretrained(tiny, family="v2", cache_dir=cache)(pixels)
        found = from_pretrained(tiny, family="v2", cache_dir=cache, device="cuda")(pixels.cuda()).cpu()
    assert float((found - expected).abs().max() / expected.std()) < 1e-2
