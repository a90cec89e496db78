"""What a user of the shell waits for: `import depthhub`, and the verbs that load nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import fresh
from ..series import Series
from ..tables import Figure, Part, Table, duration, spread
from ..workbench import Workbench

HEAVY = ("torch", "huggingface_hub", "numpy", "safetensors")
_IMPORT = "import depthhub"
_VERBS = "depthhub {}"
_TIMED = "from time import perf_counter as now; began = now(); import depthhub; print(now() - began)"
_LOADED = f"; import json, sys; print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)"
_RUNS = {True: 5, False: 20}
"""By whether it is quick. They take a tenth of a second each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """seconds: by what was typed, from start to end. loaded: which heavy packages it imports. importing: of
    `import depthhub` alone, within the process.
    """

    seconds: Mapping[str, Series]
    loaded: Mapping[str, Sequence[str]]
    importing: Series


def measure(bench: Workbench) -> Found:
    bench.say("shell: list, path, pull")
    verbs = {"list": ["list"], "path NAME": ["path", bench.smallest.name], "pull NAME": ["pull", bench.smallest.name]}
    program = Path(sys.executable).with_name("depthhub")
    typed: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        f"python -c '{_IMPORT}'": [sys.executable, "-c", _IMPORT],
        **{_VERBS.format(verb): [program, *words] for verb, words in verbs.items()},
    }
    env = bench.smallest.env
    seconds: dict[str, list[dict[str, float]]] = {words: [] for words in typed}
    importing = []
    for warm in (True, *(False for _ in range(_RUNS[bench.quick]))):
        for words, command in typed.items():
            took = fresh.seconds_of(command, env)
            if not warm:
                seconds[words].append({"whole": took})
        importing.append({"import": float(_output([sys.executable, "-c", _TIMED], env)[0])})
    loaded = {_VERBS.format(verb): _loaded(f"main({words})", env) for verb, words in verbs.items()}
    loaded[f"python -c '{_IMPORT}'"] = _loaded("None", env)
    return Found(
        seconds={words: Series(runs) for words, runs in seconds.items()},
        loaded=loaded,
        importing=Series(importing[1:]),
    )


def _loaded(call: str, env: Mapping[str, str]) -> list[str]:
    start = "import depthhub" if call == "None" else "from depthhub.cli import main"
    found: list[str] = json.loads(_output([sys.executable, "-c", f"{start}; {call}{_LOADED}"], env)[1])
    return found


def _output(command: Sequence[str], env: Mapping[str, str]) -> tuple[str, str]:
    done = subprocess.run(command, env=fresh.environment(env), check=True, text=True, capture_output=True)
    return done.stdout, done.stderr


def part(found: Found, bench: Workbench) -> Part:  # noqa: ARG001  every section has this signature
    alone = found.seconds["python -c pass"].median("whole")
    rows = [
        (
            f"`{words}`",
            spread(series, "whole"),
            duration(series.median("whole") - alone),
            ", ".join(found.loaded.get(words, [])) or "none",
        )
        for words, series in found.seconds.items()
    ]
    columns = ("typed", "from start to end", "more than the interpreter", f"of {', '.join(HEAVY)} it imports")
    importing = found.importing.median("import")
    figures = [
        Figure(
            what="`import depthhub`",
            wanted="at most 30 ms",
            measured=duration(importing),
            found=importing,
            limit=30e-3,
        )
    ]
    for words, series in found.seconds.items():
        if words.startswith("depthhub"):
            took, heavy = series.median("whole"), set(found.loaded[words]) & {"torch", "huggingface_hub"}
            figures.append(
                Figure(
                    what=f"`{words}`",
                    wanted="at most 150 ms, no torch, no Hub client",
                    measured=f"{duration(took)}, imports {' and '.join(sorted(heavy)) or 'neither'}",
                    found=took if not heavy else float("inf"),
                    limit=150e-3,
                )
            )
    note = f"`import depthhub` within a process that is there: {spread(found.importing, 'import')}."
    table = Table(title="What a shell waits for", columns=columns, rows=rows, notes=[note])
    return Part(title="Shell", tables=[table], figures=figures)
