"""From page cache to a CUDA device: our way beside the others, against what the bus can carry.

    python scripts/bench/device.py [--encoder vitl] [--runs 7] [--out FILE.md] [--sweep]

Needs depthhub, safetensors and a torch that sees a CUDA device, and nothing else; no network. Every way runs in fresh
processes, interleaved with the others; in each, the device is awake before the clock starts. `first` is the first load
of a process, pinned buffers and device memory included; `again` is the next one, after the first was freed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
TOLERANCE = 1e-2

Tensors = dict[str, "torch.Tensor"]


def ours(path: Path, threads: int | None = None, piece: int | None = None) -> Tensors:
    from depthhub.checkpoint import onto_device
    from depthhub.checkpoint.converted import read_converted

    onto_device.Cuda.threads = threads or onto_device.Cuda.threads
    onto_device.PIECE = piece or onto_device.PIECE
    return read_converted(path, device="cuda")[0]


def tensor_by_tensor(path: Path) -> Tensors:
    """What a map and `.to` give: pageable memory, one copy after the other."""
    from depthhub.checkpoint.converted import read_converted

    return {name: tensor.to("cuda") for name, tensor in read_converted(path)[0].items()}


def load_file(path: Path) -> Tensors:
    from safetensors.torch import load_file as load

    return load(path, device="cuda")


def one_pinned_copy(path: Path) -> Tensors:
    """The whole file in pinned memory, and from there in one device buffer that all tensors would be views of."""
    import torch

    host = torch.empty(path.stat().st_size, dtype=torch.uint8, pin_memory=True)
    with path.open("rb", buffering=0) as file:
        _fill(file.fileno(), host)
    return {"all": host.to("cuda", non_blocking=True)}


def one_device_buffer(path: Path) -> Tensors:
    """Ours, but with one allocation in place of one a tensor: what that would save."""
    import torch

    from depthhub.checkpoint import onto_device

    class OneBuffer(onto_device.Cuda):
        def __init__(self, device: torch.device) -> None:
            super().__init__(device)
            self._all = torch.empty(path.stat().st_size + 64 * 1024, dtype=torch.uint8, device=self.device)
            self._used = 0

        def room(self, shape: list[int], dtype: torch.dtype) -> torch.Tensor:  # type: ignore[override]
            size = dtype.itemsize
            for side in shape:
                size *= side
            begin, self._used = self._used, self._used + (size + 63) // 64 * 64
            return self._all[begin : begin + size].view(dtype).view(shape)

    onto_device.Cuda = OneBuffer  # type: ignore[misc]
    return ours(path)


WAYS: dict[str, Callable[[Path], Tensors]] = {
    "ours": ours,
    "tensor by tensor from the map": tensor_by_tensor,
    "safetensors load_file": load_file,
    "one pinned copy of the file": one_pinned_copy,
    "ours, one device buffer": one_device_buffer,
}
SWEEP = [(threads, piece) for threads in (1, 2, 4, 8) for piece in (1, 4, 16)]
for _threads, _piece in SWEEP:
    WAYS[f"ours, {_threads} threads, {_piece} MiB"] = lambda path, t=_threads, p=_piece: ours(path, t, p * MIB)  # type: ignore[misc]


def probe(way: str, path: Path) -> dict[str, float]:
    """One fresh process: seconds and bytes."""
    import torch

    torch.ones(1, device="cuda").sum().item()
    torch.cuda.synchronize()
    if way == "bus":
        return bus()
    with path.open("rb", buffering=0) as file:  # the page cache is warm
        _fill(file.fileno(), torch.empty(path.stat().st_size, dtype=torch.uint8))
    forgotten = _forget_peak()
    before, facts = _status("VmRSS"), dict[str, float]()
    for which in ("first", "again"):
        began = perf_counter()
        tensors = WAYS[way](path)
        torch.cuda.synchronize()
        facts[which] = perf_counter() - began
        if which == "first":
            facts["allocated"] = torch.cuda.memory_allocated()
            facts["reserved"] = torch.cuda.memory_reserved()
            facts["host"] = _status("VmHWM") - before if forgotten else float("nan")
            facts["bytes"] = sum(tensor.nbytes for tensor in tensors.values())
        del tensors
    return facts


def bus() -> dict[str, float]:
    """Bytes a second of one large copy from pinned memory, the best of ten."""
    import torch

    size = 1024 * MIB
    host, there = torch.empty(size, dtype=torch.uint8, pin_memory=True), torch.empty(size, dtype=torch.uint8).cuda()
    best = float("inf")
    for _ in range(10):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        there.copy_(host, non_blocking=True)
        ended.record()
        ended.synchronize()
        best = min(best, begun.elapsed_time(ended) / 1000)
    return {"rate": size / best}


def numbers_and_depth(path: Path, checkpoint: Path, cache: Path) -> list[str]:
    """Whether every number arrives, and how far the depth is from the CPU's, in parts of its largest."""
    import torch

    from depthhub import from_pretrained
    from depthhub.checkpoint.converted import read_converted

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    expected = read_converted(path)[0]
    arrived = all(torch.equal(tensor.cpu(), expected[name]) for name, tensor in ours(path).items())
    options = {"family": "v2", "cache_dir": cache}
    began = perf_counter()
    model = from_pretrained(checkpoint, device="cuda", **options)
    torch.cuda.synchronize()
    ready = perf_counter() - began
    pixels = torch.rand(1, 3, 518, 518, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        depth = model(pixels.cuda()).cpu()
        truth = from_pretrained(checkpoint, **options)(pixels)
    apart = float((depth - truth).abs().max() / truth.abs().max())
    return [
        f"- all numbers arrive unchanged: {arrived}",
        f"- largest difference of the depth to the CPU's, TF32 off: {apart:.1e} of the largest ({apart < TOLERANCE})",
        f"- `from_pretrained(..., device='cuda')`, warm entry, first call of the process: {ready * 1e3:.0f} ms",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="vitl")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path, help="where the table goes; it is printed anyway")
    parser.add_argument("--sweep", action="store_true", help="numbers of threads and sizes of pieces, too")
    parser.add_argument("--probe", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.probe:
        print(json.dumps(probe(given.probe[0], Path(given.probe[1]))))
        return 0
    import torch

    if not torch.cuda.is_available():
        print("torch sees no CUDA device here: nothing to measure", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        text = report(given.encoder, given.runs, Path(folder), sweep=given.sweep)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    return 0


def report(encoder: str, runs: int, folder: Path, *, sweep: bool) -> str:
    import torch

    from depthhub import prewarm
    from depthhub.testing import make_checkpoint

    checkpoint = make_checkpoint(folder / f"{encoder}.pth", encoder=encoder)
    [entry] = prewarm([checkpoint], family="v2", cache_dir=folder / "cache")
    path = entry.path if entry.path.is_file() else entry.path / "weights.safetensors"
    ways = [way for way in WAYS if sweep or "threads" not in way]
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way in ways:
            found[way].append(_fresh(way, path))
    rate = max(_fresh("bus", path)["rate"] for _ in range(3))
    lines = [
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} cores; {encoder}, "
        f"{path.stat().st_size / 1e6:,.0f} MB; {runs} runs. The bus, one pinned GiB: {rate / 1e9:.1f} GB/s.",
        "",
        "| way | first, ms (least to most) | GB/s | of the bus | again, ms | GB/s | host, peak MB | device, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(way, facts, rate) for way, facts in found.items()]
    return "\n".join([*lines, "", *numbers_and_depth(path, checkpoint, folder / "cache")])


def _row(way: str, runs: list[dict[str, float]], rate: float) -> str:
    def middle(name: str) -> float:
        return statistics.median(run[name] for run in runs)

    first, again, firsts = middle("first"), middle("again"), [run["first"] * 1e3 for run in runs]
    there = middle("bytes")
    return (
        f"| {way} | {first * 1e3:.0f} ({min(firsts):.0f} to {max(firsts):.0f}) | {there / first / 1e9:.1f} "
        f"| {there / first / rate:.0%} | {again * 1e3:.0f} | {there / again / 1e9:.1f} "
        f"| {middle('host') / 1e6:,.0f} | {middle('allocated') / 1e6:,.0f} of {middle('reserved') / 1e6:,.0f} |"
    )


def _fresh(way: str, path: Path) -> dict[str, float]:
    folders = os.pathsep.join([str(ROOT / "registry"), str(ROOT / "cache"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(Path(__file__).resolve()), "--probe", way, str(path)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": folders}, stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _fill(descriptor: int, tensor: torch.Tensor) -> None:
    import ctypes

    into = memoryview((ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr())).cast("B")
    at = 0
    while count := os.preadv(descriptor, [into[at:]], at):
        at += count


def _forget_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(name)) * 1024


if __name__ == "__main__":
    sys.path[:1] = [str(ROOT / "registry"), str(ROOT / "cache")]
    sys.exit(main())
