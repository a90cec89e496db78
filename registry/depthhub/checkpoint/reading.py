"""Opening an original file: safely, mapped, and down to its tensors under bare names."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError
from .containers import container_of, is_utf8, require_utf8
from .layouts import Layout, detect
from .pickles import refuse_foreign_in_legacy, refuse_foreign_in_zip
from .wrappers import unwrap


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of an original file, views of its map, under the names of `layout`.

    decisions: in words, what was unpacked, taken off or ignored on the way to them.
    The file stays mapped for as long as a tensor of it lives.
    """

    path: Path
    layout: Layout
    tensors: dict[str, Tensor]
    decisions: tuple[str, ...]


def read_checkpoint(path: Path) -> Checkpoint:
    """Open `path`, whatever its suffix says. No weight is read yet, unless the file is of torch.save's old format.

    Raises NotFoundError; CheckpointError where it cannot be read; UnsafeCheckpointError where it holds more than
    tensors and plain containers; UnsupportedModelError where it is another model than a plain DPT.
    """
    if sys.byteorder != "little":
        raise CheckpointError(f"{path}: big-endian machines are not supported.", path=path)
    found = unwrap(_open(path), path=path)
    layout = detect(found.tensors, path=path)
    _require_dense(found.tensors, path)
    notes = () if layout == "original" else (f"the names are in the {layout} layout",)
    return Checkpoint(path, layout, found.tensors, (*found.decisions, *notes))


def _open(path: Path) -> object:
    match container_of(path):
        case "safetensors":
            require_utf8(path)
            return _open_safetensors(path)
        case "zip":
            refuse_foreign_in_zip(path)
            # Only a path is mapped, and torch.load opens none that is not UTF-8, and reads one that ends so as
            # safetensors.
            return _load(path, mapped=is_utf8(path) and not path.name.endswith(".safetensors"))
        case "legacy":
            refuse_foreign_in_legacy(path)
            return _load(path, mapped=False)


def _load(path: Path, *, mapped: bool) -> object:
    try:
        if mapped:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parser stumbles over
        first_line = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint; it is damaged, or written in a way that torch cannot read safely "
            f"({type(error).__name__}: {first_line}). Download it again, or save its state dict again with torch.save.",
            path=path,
        ) from error


def _open_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} begins as a safetensors file, but is cut short or damaged ({error}). Download it again.", path=path
        ) from error


def _require_dense(tensors: dict[str, Tensor], path: Path) -> None:
    """A few bytes can claim to be terabytes (a stride of 0): what is converted must not be more than what is there."""
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > (size := path.stat().st_size):
        raise CheckpointError(
            f"{path} has {size} bytes, but its tensors claim {claimed}: they share memory or repeat themselves. "
            "Save contiguous tensors.",
            path=path,
        )
