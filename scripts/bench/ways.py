"""The alternatives that are measured beside each other, by the names that the tables give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .fresh import Job
from .material import FAMILY, Material

RELEASED, LARGE = ("vits", "vitb", "vitl"), "vitl"
"""The sizes that figures are set for; some are for the large one alone."""

BY_NAME, BY_PATH, BY_HUB_FILE = "depthhub, by name", "depthhub, by path", "depthhub, by Hub file"
FIRST_CALL = "depthhub, first call (local file)"
ORIGINAL, TUNED = "original way", "original way, tuned"
TRANSFORMERS = "transformers"
LOAD_FILE, TORCH_LOAD = "load_file, no model (the limit)", "torch.load(mmap), no model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """program, given: as in `Job`. reads: whose page cache state counts. slow: it takes seconds."""

    program: str
    given: Callable[[Material], Mapping[str, Any]]
    reads: str = "entry"
    is_model: bool = True
    slow: bool = False
    fresh_cache: bool = False

    def job(self, material: Material, steps: tuple[str, ...]) -> Job:
        files = {"entry": material.entry, "checkpoint": material.checkpoint}
        if material.port is not None:
            files["port"] = material.port / "model.safetensors"
        return Job(
            program=self.program,
            given=self.given(material),
            steps=steps,
            env=material.env,
            files=[files[self.reads]],
            fresh_cache=self.fresh_cache,
        )


def _call(source: Callable[[Material], object], **options: str) -> Callable[[Material], Mapping[str, Any]]:
    return lambda material: {"source": str(source(material)), "options": options}


def _original(*, tuned: bool) -> Callable[[Material], Mapping[str, Any]]:
    return lambda material: {"checkpoint": str(material.checkpoint), "shapes": material.shapes, "tuned": tuned}


WAYS: Mapping[str, Way] = {
    BY_NAME: Way(program="depthhub_call", given=_call(lambda material: material.name)),
    BY_PATH: Way(program="depthhub_call", given=_call(lambda material: material.checkpoint, family=FAMILY)),
    BY_HUB_FILE: Way(program="depthhub_call", given=_call(lambda material: material.hub_file, family=FAMILY)),
    LOAD_FILE: Way(program="load_file", given=lambda material: {"entry": str(material.entry)}, is_model=False),
    TORCH_LOAD: Way(
        program="torch_load",
        given=lambda material: {"checkpoint": str(material.checkpoint)},
        reads="checkpoint",
        is_model=False,
    ),
    TUNED: Way(program="original", given=_original(tuned=True), reads="checkpoint", slow=True),
    TRANSFORMERS: Way(
        program="transformers_port",
        given=lambda material: {"folder": str(material.port)},
        reads="port",
        slow=True,
    ),
    ORIGINAL: Way(program="original", given=_original(tuned=False), reads="checkpoint", slow=True),
    FIRST_CALL: Way(
        program="depthhub_call",
        given=_call(lambda material: material.checkpoint, family=FAMILY),
        reads="checkpoint",
        slow=True,
        fresh_cache=True,
    ),
}


def ways_for(material: Material) -> dict[str, Way]:
    """Those that can be measured here: transformers only where it is installed."""
    return {label: way for label, way in WAYS.items() if label != TRANSFORMERS or material.port is not None}
