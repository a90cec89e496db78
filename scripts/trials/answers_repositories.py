"""Repositories whose branches move: what they held at each commit, and what a name meant then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from depthhub.testing import transformers_config
from depthhub.testing.layouts import Family

from .hub_process import HubProcess
from .samples import SMALL

CONFIG, MODEL = "config.json", "model.safetensors"


@dataclass(frozen=True, slots=True)
class Build:
    """How a model is built. max_depth: metres, of `v2-metric`."""

    family: Family
    max_depth: float | None = None

    def config(self) -> bytes:
        described = transformers_config(SMALL, family=self.family, max_depth=self.max_depth)
        return json.dumps(described).encode()


@dataclass(frozen=True, slots=True)
class Commit:
    """weights: the file that each name has. build: what the config.json says; None where there is none."""

    id: str
    weights: Mapping[str, Path]
    build: Build | None

    def meant_by(self, filename: str) -> str | None:
        """The file that is asked for; "" asks for the repository alone. None where it is gone, or one of several."""
        if filename:
            return filename if filename in self.weights else None
        if MODEL in self.weights:
            return MODEL
        return next(iter(self.weights)) if len(self.weights) == 1 else None


@dataclass(slots=True)
class Repository:
    """A repository on the Hub and its history. lfs: whether the Hub tells the sha256 of its weights."""

    hub: HubProcess
    id: str
    lfs: bool
    commits: list[Commit] = field(default_factory=list)

    @property
    def head(self) -> Commit:
        return self.commits[-1] if self.commits else Commit("", {}, None)

    def put(self, filename: str, weights: Path) -> None:
        made = self._call("add_file", filename, weights, lfs=self.lfs)
        self._add(replace(self.head, id=made, weights={**self.head.weights, filename: weights}))

    def remove(self, filename: str) -> None:
        made = self._call("remove_file", filename)
        left = {name: weights for name, weights in self.head.weights.items() if name != filename}
        self._add(replace(self.head, id=made, weights=left))

    def describe(self, build: Build) -> None:
        """Put a config.json that says so."""
        made = self._call("add_file", CONFIG, build.config(), lfs=False)
        self._add(replace(self.head, id=made, build=build))

    def _add(self, commit: Commit) -> None:
        if commit.id != self.head.id:  # else it changes nothing
            self.commits.append(commit)

    def _call(self, method: str, *args: Any, **options: Any) -> str:
        made = self.hub.call(method, self.id, *args, **options)
        assert isinstance(made, str)
        return made
