"""What is measured upon: checkpoints by rule, a Hub that has them, and a cache that holds their entries."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from depthhub import resolve
from depthhub.testing import original_shapes
from trials.hub_process import HubProcess

from .fresh import Job, run

FAMILY = "v2"
_RACY_SECONDS = 2.5
"""The digest of a file that was just written is not remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One size. checkpoint: the original file; port: transformers' folder of the same weights, None without it; entry:
    the converted file in `cache`. name: in the catalog; hub_file: on the Hub, both known to the cache.
    """

    size: str
    checkpoint: Path
    port: Path | None
    entry: Path
    cache: Path
    name: str
    hub_file: str
    env: Mapping[str, str]

    @property
    def bytes(self) -> int:
        return self.entry.stat().st_size

    @property
    def shapes(self) -> Mapping[str, Sequence[int]]:
        return original_shapes(self.size)


def has_transformers() -> bool:
    return find_spec("transformers") is not None


def checkpoint_of(size: str, folder: Path) -> Path:
    return folder / f"depth_anything_v2_{size}.pth"


def make(sizes: Sequence[str], folder: Path, *, ports: bool) -> dict[str, Material]:
    """The material of `sizes` in `folder`; what is there is taken as it is. ports: for transformers too."""
    cache, made = folder / "cache", {}
    for size in sizes:
        port = folder / f"{size}-port" if ports and has_transformers() else None
        given = {"encoder": size, "checkpoint": str(checkpoint_of(size, folder)), "folder": port and str(port)}
        run(Job(program="make_checkpoint", given=given, steps=("imports", "run")), folder=folder)
        made[size] = port
    newest = max(checkpoint_of(size, folder).stat().st_mtime for size in sizes)
    time.sleep(max(0.0, newest + _RACY_SECONDS - time.time()))
    with hub_with([checkpoint_of(size, folder) for size in sizes]) as hub:
        env = {"DEPTHHUB_CACHE": str(cache), "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"}
        for size in sizes:
            _convert(str(checkpoint_of(size, folder)), env, folder, family=FAMILY)
        env["DEPTHHUB_CATALOG"] = str(_catalog(sizes, hub, folder))
        for size in sizes:
            _convert(f"bench-{size}", env, folder)
            _convert(hub.file(checkpoint_of(size, folder)), env, folder, family=FAMILY)
    os.sync()  # nothing is to be written to the disk while others read
    return {
        size: Material(
            size=size,
            checkpoint=checkpoint_of(size, folder),
            port=port,
            entry=_entry_of(checkpoint_of(size, folder), cache),
            cache=cache,
            name=f"bench-{size}",
            hub_file=hub.file(checkpoint_of(size, folder)),
            env=env,
        )
        for size, port in made.items()
    }


class BenchHub:
    """A LocalHub in a process of its own, with the checkpoints that it was given, each in a repository of its own."""

    def __init__(self, process: HubProcess) -> None:
        self.endpoint = process.endpoint
        self.commits: dict[str, str] = {}
        self._process = process

    def add(self, checkpoint: Path) -> None:
        self.commits[checkpoint.name] = self._process.call(
            "add_file", self.repo(checkpoint), checkpoint.name, checkpoint
        )

    def repo(self, checkpoint: Path) -> str:
        return f"bench/{checkpoint.stem}"

    def file(self, checkpoint: Path) -> str:
        return f"{self.repo(checkpoint)}/{checkpoint.name}"


@contextmanager
def hub_with(checkpoints: Iterable[Path]) -> Iterator[BenchHub]:
    process = HubProcess()
    try:
        hub = BenchHub(process)
        for checkpoint in checkpoints:
            hub.add(checkpoint)
        yield hub
    finally:
        process.close()


def _convert(source: str, env: Mapping[str, str], folder: Path, **options: str) -> None:
    given = {"source": source, "options": options}
    run(Job(program="make_entry", given=given, steps=("imports", "run"), env=env), folder=folder)


def _entry_of(checkpoint: Path, cache: Path) -> Path:
    path = resolve(checkpoint, family=FAMILY, cache_dir=cache).path
    if path is None:
        raise RuntimeError(f"{checkpoint} has no entry in {cache}")
    return path if path.is_file() else next(path.glob("*.safetensors"))


def _catalog(sizes: Sequence[str], hub: BenchHub, folder: Path) -> Path:
    """A catalog of our own that pins them, as the built-in one pins the released checkpoints."""
    checkpoints = [checkpoint_of(size, folder) for size in sizes]
    build = {"family": FAMILY, "taps": "spread", "activation": "relu", "max_depth": None}
    pinned = [
        {
            "name": f"bench-{size}",
            "family": "made-by-rule",
            "repo_id": hub.repo(checkpoint),
            "repo_type": "model",
            "filename": checkpoint.name,
            "revision": hub.commits[checkpoint.name],
            "sha256": resolve(checkpoint, family=FAMILY, cache_dir=folder / "cache").content_hash,
            "size": checkpoint.stat().st_size,
            "licence": "apache-2.0",
            "official": False,
            "layout": "original",
            "build": build,
        }
        for size, checkpoint in zip(sizes, checkpoints, strict=True)
    ]
    path = folder / f"catalog-{'-'.join(sizes)}.json"
    path.write_text(json.dumps({"version": 1, "about": "made by rule", "aliases": {}, "checkpoints": pinned}))
    return path
