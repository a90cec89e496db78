"""What a warm load imports, module by module: to find it, to read it, to run it; microseconds, the least of 15.

    python scripts/bench/imports.py

In one process, after everything was imported once: a fresh process pays a third more, for it runs everything cold.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import safetensors.torch  # noqa: F401  what every way has

from depthhub import from_pretrained
from depthhub.testing import make_checkpoint

_TIMES = 15
_UNTIL_IT_IS_REMEMBERED = 2.5
"""Seconds; what is younger is hashed again."""


class Cost(NamedTuple):
    """Microseconds."""

    module: str
    find: float
    read: float
    run: float

    @property
    def all(self) -> float:
        return self.find + self.read + self.run


def main() -> None:
    sys.dont_write_bytecode = False  # as that of anything installed, it is cached
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(Path(folder) / "tiny.pth", encoder="tiny")
        load = {"family": "v2", "cache_dir": Path(folder) / "cache"}
        from_pretrained(checkpoint, **load)
        time.sleep(_UNTIL_IT_IS_REMEMBERED)
        from_pretrained(checkpoint, **load)
        for name in [name for name in sys.modules if name.partition(".")[0] in ("depthhub", "depthhub_cache")]:
            del sys.modules[name]
        importlib.import_module("depthhub").from_pretrained(checkpoint, **load)
        costs = sorted(
            (cost for name in sorted(sys.modules) if name.startswith("depthhub") and (cost := _cost_of(name))),
            key=lambda cost: -cost.all,
        )
    print("| module | find | read | run |\n| --- | ---: | ---: | ---: |")
    for cost in costs[:12]:
        print(f"| `{cost.module}` | {cost.find:.0f} | {cost.read:.0f} | {cost.run:.0f} |")
    total = [sum(values) for values in zip(*(cost[1:] for cost in costs), strict=True)]
    print(f"| all {len(costs)} | {total[0]:.0f} | {total[1]:.0f} | {total[2]:.0f} |")


def _cost_of(name: str) -> Cost | None:
    module = sys.modules[name]
    spec = module.__spec__
    if not isinstance(spec, ModuleSpec) or not isinstance(spec.loader, SourceFileLoader):
        return None
    parent = name.rpartition(".")[0]
    where = list(sys.modules[parent].__path__) if parent else None
    tries = [_once(name, module, spec, where) for _ in range(_TIMES)]
    return Cost(name, *(min(values) * 1e6 for values in zip(*tries, strict=True)))


def _once(name: str, module: ModuleType, spec: ModuleSpec, where: list[str] | None) -> tuple[float, float, float]:
    began = time.perf_counter()
    PathFinder.find_spec(name, where)
    found = time.perf_counter()
    code = spec.loader.get_code(name)  # type: ignore[union-attr]
    read = time.perf_counter()
    copy = ModuleType(name)
    vars(copy).update({key: value for key, value in vars(module).items() if key.startswith("__")})
    sys.modules[name] = copy
    try:
        exec(code, vars(copy))
    finally:
        sys.modules[name] = module
    return found - began, read - found, time.perf_counter() - read


if __name__ == "__main__":
    main()
