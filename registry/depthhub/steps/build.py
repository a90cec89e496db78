"""From an entry to a ready model: modules that nobody initialises, parameters assigned from the map."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from depthhub_cache.entry import Entry, broken, identity_of, unreadable
from depthhub_cache.identity import make_key
from depthhub_cache.store import Store

from ..checkpoint.converted import read_converted
from ..checkpoint.header import ConvertedHeader
from ..depth_model import DepthModel
from ..errors import CheckpointError, OptionError
from ..garbage import collection_paused
from ..model.assign import AssignError, assign
from ..model.config import ModelConfig
from ..provenance import Provenance
from .licence import licence_of_entry
from .located import Located, Place
from .request import Request


def usable_device(device: torch.device | str) -> str:
    """The name of `device`. Raises OptionError where there is no such device here."""
    if not isinstance(device, str | int | torch.device):
        raise OptionError(f"device is a name such as 'cpu'; got {device!r}.", option="device", value=device)
    try:
        found = torch.device(device)
        kind = type(torch.empty(0, device=found))
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        message = f"device {device!r} cannot be used here: {first_line}"
        raise OptionError(message, option="device", value=device) from error
    if kind is not torch.Tensor:
        message = f"torch was told to make a {kind.__name__} of every tensor. Load the model outside of that."
        raise OptionError(message, option="device", value=device)
    if found.type == "meta":
        raise OptionError("device 'meta' holds no numbers: nothing loads to it.", option="device", value=device)
    return "cpu" if found.type == "cpu" else str(found)


def should_map(entry: Entry, request: Request, store: Store) -> bool:
    """Whether to map the weights or to read them: as the setting says, else as the file system wants."""
    wish = request.settings.map_weights
    return store.handling_of(entry).map if wish is None else wish


def build(entry: Entry, located: Located, request: Request, device: str, *, mapped: bool) -> DepthModel:
    """The model of `entry`. Raises BrokenEntryError where the file is not what was published."""
    try:
        with collection_paused():
            tensors, header = read_converted(entry.weights, device=device, mapped=mapped, state=entry.state)
            _require_own(header, entry)
            model = _empty_model(header.config, provenance_of(entry, located, request), tensors)
            _assign(model, tensors)
    except (AssignError, CheckpointError) as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise unreadable(entry.path, error.__cause__) from error  # nothing that was read is wrong
        raise broken(entry.path, str(error)) from error
    return model


def _empty_model(config: ModelConfig, provenance: Provenance, tensors: Mapping[str, torch.Tensor]) -> DepthModel:
    """Raises CheckpointError where the memory does not suffice for a model that the file cannot hold anyway."""
    try:
        with _nothing_to_fill():
            return DepthModel(config, provenance)
    except (RuntimeError, MemoryError) as error:
        if _are_those_of(config, tensors):
            raise
        message = "it does not hold the tensors of the model that it says it is"
        raise CheckpointError(message, path=provenance.path) from error


def _assign(model: DepthModel, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raises AssignError where the file is wrong, OptionError where torch made other parameters than it asks for."""
    try:
        assign(model, tensors)
    except AssignError as error:
        if error.mistyped or not _are_those_of(model.config, tensors):
            raise
        raise OptionError(
            "this process makes other parameters than a model is written with, by a hook that it gave torch or a "
            f"context such as DeepSpeed's zero.Init. Load the model outside of that.\nThe file is sound, but {error}",
            option="device",
            value=str(next(iter(tensors.values())).device),
        ) from error


def _are_those_of(config: ModelConfig, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether `tensors` (converted names) are those of a model of `config`, by their shapes."""
    from ..checkpoint.rules import DEPTHHUB
    from ..checkpoint.shapes import describe

    try:
        original = DEPTHHUB.to_original(tensors, path=Path())
        shapes = {name: tuple(weight.shape) for name, weight in original.items()}
        return describe(shapes, path=Path()).are_those_of(config)
    except CheckpointError:
        return False


def _nothing_to_fill() -> AbstractContextManager[object]:
    """Told to be deterministic, torch fills what it makes empty: all of it, and by threads that a fork has not."""
    return torch.device("meta") if torch.are_deterministic_algorithms_enabled() else nullcontext()


def provenance_of(entry: Entry, located: Located, request: Request) -> Provenance:
    """The record's, but with the place that was asked for now and its licence: the same bytes share an entry."""
    made, place = Provenance.of(entry), located.place()
    if place.commit is None and _file(place) == _file(made):
        place = place._replace(commit=made.commit)
    return made._replace(**place.to_json(), licence=licence_of_entry(entry, located, request))


def _file(of: Place | Provenance) -> tuple[str | None, str | None, str]:
    return of.repo_type, of.repo_id, of.filename


def _require_own(header: ConvertedHeader, entry: Entry) -> None:
    """What was opened is what was found, and perhaps verified, before."""
    if make_key(header.content_hash, header.recipe.to_json()) != entry.key:
        raise CheckpointError("its weights are those of another entry", path=entry.weights)
    if identity_of(entry.path) != entry.identity:
        raise CheckpointError("another one took its place while it was opened", path=entry.weights)
