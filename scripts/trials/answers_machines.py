"""Two machines and what they are asked for; the entries that the stories of `answers` are about, made undisturbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy
from typing import NamedTuple

from depthhub import from_pretrained
from depthhub.testing import make_checkpoint
from depthhub_cache.store import Store

from .answers_promises import Answer, Name, Promises
from .answers_repositories import CONFIG, Build, Repository
from .samples import SMALL, Known, digest_of
from .soundness import sha256_of

V2 = Build("v2")
BUILDS = (V2, Build("v2-metric", 20.0), Build("v2-metric", 80.0))
DTYPES = (None, "float16")


class Wanted(NamedTuple):
    """What decides about the bytes of an entry."""

    weights: Path
    build: Build
    dtype: str | None


Made = Mapping[Wanted, Known]


def made_undisturbed(folder: Path) -> Made:
    """What an undisturbed call makes of each checkpoint that the stories have."""
    plain = [make_checkpoint(folder / f"{seed}.pth", encoder=SMALL, seed=seed) for seed in range(4)]
    described = [
        make_checkpoint(folder / f"{seed}.safetensors", encoder=SMALL, seed=seed, layout="transformers")
        for seed in range(4, 7)
    ]
    wanted = [Wanted(weights, V2, dtype) for weights in plain for dtype in DTYPES]
    wanted += [Wanted(weights, build, dtype) for weights in described for build in BUILDS for dtype in DTYPES]
    return {one: _made_undisturbed(one, folder / "undisturbed") for one in wanted}


def _made_undisturbed(wanted: Wanted, folder: Path) -> Known:
    """Of a copy of its own, with a config.json beside it where it needs one."""
    beside = folder / f"{wanted.build.max_depth}"
    beside.mkdir(parents=True, exist_ok=True)
    weights = beside / wanted.weights.name
    copy(wanted.weights, weights)
    family: str | None = V2.family
    if weights.suffix == ".safetensors":
        family = None
        (beside / CONFIG).write_bytes(wanted.build.config())
    model = from_pretrained(weights, family=family, dtype=wanted.dtype, cache_dir=folder / "cache")
    where = model.provenance
    return Known(key=where.key, sha256=sha256_of(where.path), model=digest_of(model))


@dataclass(slots=True)
class Machine:
    """here: what lies in its cache. damaged: of that, where a byte was changed since. learned: names, each with the
    number of a commit, of whose file it remembers the sha256, as a download or the Hub has told it.
    """

    root: Path
    promises: Promises = field(default_factory=Promises)
    here: set[Wanted] = field(default_factory=set)
    damaged: set[Wanted] = field(default_factory=set)
    learned: set[tuple[Name, int]] = field(default_factory=set)

    @property
    def store(self) -> Store:
        return Store(self.root)


class Call(NamedTuple):
    """One way to ask a machine for something. shelf: what it is told of the remote store."""

    how: str
    machine: Machine
    repository: Repository
    name: Name
    text: str
    dtype: str | None
    refresh: bool
    offline: bool
    shelf: str

    def __str__(self) -> str:
        how = [
            self.how,
            self.text,
            self.dtype,
            "refresh" * self.refresh,
            "offline" * self.offline,
            self.shelf and f"shelf: {self.shelf}",
        ]
        return f"{self.machine.root.name}: {' '.join(filter(None, how))}"


class Locked(NamedTuple):
    """A lockfile, and what its one source has to give."""

    file: Path
    text: str
    wanted: Wanted


def text_of(repository: Repository, name: Name) -> str:
    """As a user writes it."""
    file = f"/{name.filename}" if name.filename else ""
    return f"{repository.id}{file}" + ("" if name.at is None else f"@{repository.commits[name.at].id}")


def place_of(repository: Repository, answer: Answer) -> tuple[str, str]:
    return repository.commits[answer.commit].id, answer.filename
