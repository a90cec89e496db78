"""Does the steps that it is told in a process of its own, times each, and prints what it found as a line of JSON.

    python scripts/bench/probe.py '{"program": "load_file", "given": {}, "steps": ["imports", "run"]}' STARTED

STARTED: the monotonic clock when the process was asked for. A step is a method of `Probe`; one with a colon is given
what stands behind it. Nothing is imported here that a program would then be spared.
"""

from __future__ import annotations

from time import monotonic, perf_counter

_BEGAN = monotonic()

import gc  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os.path  # noqa: E402
import sys  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIDE = 518
"""Pixels of a side of the input: what the authors' models were made for."""

MARK = "/depthhub-benchmark-mark"
_PAGE = 4096


class Probe:
    """One run. job: what is to be done, by `fresh.Job`. facts: seconds by step, bytes by moment and kind of memory."""

    def __init__(self, job: dict[str, Any], started: float) -> None:
        self.facts: dict[str, Any] = {"interpreter": _BEGAN - started}
        self._job = job
        self._before: set[str] = set()
        self._program: Any = None
        self._result: Any = None
        self._pixels: Any = None

    def torch(self) -> None:
        """What every user of a model has imported anyway."""
        with _timed(self.facts, "torch"):
            import torch  # noqa: F401

    def safetensors(self) -> None:
        import safetensors.torch  # noqa: F401

    def imports(self) -> None:
        """All modules that an earlier process of the same kind has ended up with, and the program."""
        self._before = set(sys.modules)
        with _timed(self.facts, "imports"):
            for module in self._job.get("imported", ()):
                try:
                    importlib.import_module(module)
                except ImportError:  # put there by another module, not found by its name
                    continue
            self._program = importlib.import_module(f"bench.programs.{self._job['program']}")

    def run(self) -> None:
        """What it is all about; and how often the garbage collector walked everything meanwhile, for all of 50 ms."""
        before = gc.get_stats()[2]["collections"]
        with _timed(self.facts, "run"):
            self._result = self._program.run(self._job["given"])
        self.facts["full collections"] = gc.get_stats()[2]["collections"] - before

    def again(self) -> None:
        """The same once more in this process."""
        with _timed(self.facts, "again"):
            self._program.run(self._job["given"])

    def imported(self) -> None:
        self.facts["imported"] = [module for module in sys.modules if module not in self._before]

    def memory(self, when: str) -> None:
        """What the process takes now, and took at most since the look that is called `base`."""
        from bench.memory import usage

        self.facts |= {f"{when} {kind}": found for kind, found in usage(forget_peak=when == "base").items()}

    def touch(self) -> None:
        """Read a number of every page of the weights, twice: the difference is what it costs to bring the pages in."""
        for which in ("touch", "touch again"):
            with _timed(self.facts, which):
                for tensor in self._program.tensors(self._result):
                    tensor.detach().reshape(-1)[:: _PAGE // tensor.element_size()].sum()

    def depth(self, which: str) -> None:
        """One depth map."""
        import torch

        if self._pixels is None:
            self._pixels = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode(), _timed(self.facts, which):
            self._program.forward(self._result, self._pixels)

    def wait(self) -> None:
        """For the others, at a barrier of `fresh.together`."""
        print("waiting", flush=True)
        sys.stdin.readline()

    def mark(self) -> None:
        """What a trace of the system calls shows between two of these belongs to the steps between them."""
        os.path.exists(MARK)  # noqa: PTH110  exactly one call


class _timed:  # noqa: N801  a function, but for the import of contextlib
    def __init__(self, facts: dict[str, Any], name: str) -> None:
        self._facts, self._name = facts, name

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._facts[self._name] = perf_counter() - self._began


def main() -> None:
    job = json.loads(sys.argv[1])
    sys.path[0] = os.path.dirname(sys.path[0])  # noqa: PTH120  where the package is, in place of its insides
    probe = Probe(job, float(sys.argv[2]))
    for step in job["steps"]:
        name, _, argument = step.partition(":")
        getattr(probe, name)(*([argument] if argument else []))
    print(json.dumps(probe.facts), flush=True)


if __name__ == "__main__":
    main()
