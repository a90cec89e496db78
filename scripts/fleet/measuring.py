"""What one cold machine costs, from real calls: of a Hub and of a static web server, both on this machine.

Each call is a fresh process with an empty cache. The Hub is a `LocalHub` in a process of its own, whose log is counted
as the Hub would; the store is a folder that a cold call has pushed into, served by Python's own web server.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.fresh import environment
from depthhub.catalog import Catalog
from depthhub.testing import LoggedRequest, make_checkpoint
from trials.hub_process import HubProcess
from trials.machine_facts import machine_facts

from .costs import Costs, Measured, Requests

SIZES = ("vits", "vitl")
RUNS = 3
_NAME = "made-by-rule"
_REPO = "fleet/made-by-rule"
_COLD_CALL = Path(__file__).with_name("cold_call.py")
_PORT = re.compile(r"port (\d+)")
_GET = re.compile(r'"GET /')

Found = Mapping[str, Any]
"""What `cold_call.py` prints."""


def measure(folder: Path, *, sizes: Sequence[str] = SIZES, runs: int = RUNS) -> Measured:
    """Every cost of `sizes`, the best of `runs` calls each, since what others do on the machine only adds to it.

    folder: where checkpoints and caches are made.
    """
    requests: dict[str, Requests] = {}
    gets, models = 0, {}
    for size in sizes:
        print(f"{size}: {runs} cold calls of the Hub, and of a store", file=sys.stderr, flush=True)
        checkpoint = make_checkpoint(folder / f"{size}.pth", encoder=size, container="pth")
        store = Path(tempfile.mkdtemp(prefix="store-", dir=folder))
        with _hub_with(checkpoint) as (hub, commit):
            catalog = _catalog_of(checkpoint, commit, folder)
            here = _Here(folder, {"HF_ENDPOINT": hub.endpoint, "DEPTHHUB_CATALOG": str(catalog)})
            here.cold_call(_NAME, DEPTHHUB_REMOTE=str(store), DEPTHHUB_PUSH="1")
            half = here.cold_call(_NAME, options={"dtype": "float16"})
            hub.call("clear_log")
            here.cold_call(f"{_REPO}/{checkpoint.name}", options={"family": "v2"})
            requests["branch"] = _taken(hub)
            originals = [here.cold_call(_NAME) for _ in range(runs)]
            requests["pinned"] = _taken(hub, of=runs)
        with _static_server(store, folder) as (url, asked):
            only_there = {"DEPTHHUB_REMOTE": url, "DEPTHHUB_HUB_FALLBACK": "0"}
            entries = [here.cold_call(_NAME, **only_there) for _ in range(runs)]
        gets = len(asked) // runs
        models[size] = Costs(
            original=_released_bytes(size) or checkpoint.stat().st_size,
            entry=entries[0]["entry_bytes"],
            half=half["entry_bytes"],
            record=(store / f"{entries[0]['key']}.json").stat().st_size,
            intake=_best(max, originals, "intake"),
            entry_intake=_best(max, entries, "intake"),
            make=_best(min, originals, "rest_seconds"),
            place=_best(min, entries, "rest_seconds"),
        )
        shutil.rmtree(store)
        checkpoint.unlink()
    facts = {"date": time.strftime("%Y-%m-%d"), **machine_facts(folder), "calls": f"the best of {runs} each"}
    return Measured(facts=facts, requests=requests, gets=gets, models=models)


def requests_of(log: Iterable[LoggedRequest]) -> Requests:
    """What the Hub would count. ValueError for a request that its published rules say nothing of."""
    counted = dict.fromkeys(("api", "resolve", "cdn"), 0)
    for asked in log:
        if asked.host == "cdn":
            counted["cdn"] += 1
        elif "/resolve/" in asked.path:
            counted["resolve"] += 1
        elif asked.path.startswith("/api/"):
            counted["api"] += 1
        else:
            raise ValueError(f"nothing tells what the Hub counts {asked.path} as")
    return Requests(**counted)


class _Here:
    """Cold calls with empty caches in `folder`."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = env

    def cold_call(self, source: str, *, options: Mapping[str, str] | None = None, **env: str) -> Found:
        cache = tempfile.mkdtemp(prefix="cache-", dir=self._folder)
        try:
            done = subprocess.run(
                [sys.executable, str(_COLD_CALL), json.dumps({"source": source, "options": options or {}})],
                env=environment({**self._env, **env, "DEPTHHUB_CACHE": cache}),
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            shutil.rmtree(cache)
        if done.returncode:
            raise RuntimeError(f"the cold call of {source} failed:\n{done.stderr}")
        return dict(json.loads(done.stdout))


@contextmanager
def _hub_with(checkpoint: Path) -> Iterator[tuple[HubProcess, str]]:
    """A Hub that has it, and the commit."""
    hub = HubProcess()
    try:
        yield hub, hub.call("add_file", _REPO, checkpoint.name, checkpoint)
    finally:
        hub.close()


def _catalog_of(checkpoint: Path, commit: str, folder: Path) -> Path:
    """A catalog that pins it, as the built-in one pins the released checkpoints."""
    with checkpoint.open("rb") as file:
        sha256 = hashlib.sha256()
        while chunk := file.read(1 << 20):
            sha256.update(chunk)
    pinned = {
        "name": _NAME,
        "family": "made-by-rule",
        "repo_id": _REPO,
        "repo_type": "model",
        "filename": checkpoint.name,
        "revision": commit,
        "sha256": sha256.hexdigest(),
        "size": checkpoint.stat().st_size,
        "licence": "apache-2.0",
        "official": False,
        "layout": "original",
        "build": {"family": "v2", "taps": "spread", "activation": "relu", "max_depth": None},
    }
    path = folder / "catalog.json"
    path.write_text(json.dumps({"version": 1, "about": "made by rule", "aliases": {}, "checkpoints": [pinned]}))
    return path


def _taken(hub: HubProcess, *, of: int = 1) -> Requests:
    """The requests of each of `of` equal calls; the log is empty then."""
    all_of_them = requests_of(hub.get("requests"))
    hub.call("clear_log")
    api, resolve, cdn = all_of_them.api / of, all_of_them.resolve / of, all_of_them.cdn / of
    if not (api.is_integer() and resolve.is_integer() and cdn.is_integer()):
        raise RuntimeError(f"{of} equal calls have asked for different things: {all_of_them}")
    return Requests(api=int(api), resolve=int(resolve), cdn=int(cdn))


@contextmanager
def _static_server(served: Path, folder: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """The address of a plain web server, and the lines of its log, which are there once the server has ended."""
    log, asked = folder / "server.log", list[str]()
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(served)]
    with log.open("w") as said, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as server:
        try:
            found = _PORT.search(server.stdout.readline() if server.stdout else "")
            if found is None:
                raise RuntimeError(f"the web server did not start:\n{log.read_text()}")
            yield f"http://127.0.0.1:{found[1]}", asked
        finally:
            server.kill()
    asked += [line for line in log.read_text().splitlines() if _GET.search(line)]


def _released_bytes(size: str) -> int | None:
    """Of the checkpoint that the authors released, as the catalog has it; None: nobody has released one."""
    catalog = Catalog.load()
    return catalog.find(size).size if size in catalog else None


def _best(choose: Callable[[Iterable[float]], float], found: Iterable[Found], name: str) -> float:
    return float(f"{choose(each[name] for each in found):.4g}")
