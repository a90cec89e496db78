"""Opening an original file: safely, mapped, and down to its tensors under bare names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError
from .checksums import require_checksums
from .containers import container_of, require_utf8
from .layouts import Layout, detect
from .pickles import refuse_foreign_in_legacy, safe_pickle_in
from .unpickled import unpickled
from .wrappers import unwrap
from .zipped import Zipped


def _nothing() -> None:
    """What can be let go of where the file is not mapped by us."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of an original file, views of its map, under the names of `layout`.

    decisions: in words, what was unpacked, taken off or ignored on the way to them.
    release: lets go of the memory of what was read, as far as it can be read again.
    The file stays mapped for as long as a tensor of it lives.
    """

    path: Path
    layout: Layout
    tensors: dict[str, Tensor]
    decisions: tuple[str, ...]
    release: Callable[[], None] = _nothing


def read_checkpoint(path: Path) -> Checkpoint:
    """Open `path`, whatever its suffix says, and check what its format has checksums for. Nothing is copied, unless it
    is of torch.save's old format.

    Raises NotFoundError; CheckpointError where it cannot be read; UnsafeCheckpointError where it holds more than
    tensors and plain containers; UnsupportedModelError where it is another model than a plain DPT.
    """
    if sys.byteorder != "little":
        raise CheckpointError(f"{path}: big-endian machines are not supported.", path=path)
    _require_real_tensors(path)
    opened, release = _open(path)
    found = unwrap(opened, path=path)
    layout = detect(found.tensors, path=path)
    _require_dense(found.tensors, path)
    notes = () if layout == "original" else (f"the names are in the {layout} layout",)
    return Checkpoint(path, layout, found.tensors, (*found.decisions, *notes), release)


def _open(path: Path) -> tuple[object, Callable[[], None]]:
    match container_of(path):
        case "safetensors":
            require_utf8(path)
            return _open_safetensors(path), _nothing
        case "zip":
            archive = Zipped.open(path)
            pickle = safe_pickle_in(archive)
            require_checksums(archive)
            with _damage_told(path):
                return unpickled(archive, pickle), archive.release
        case "legacy":
            refuse_foreign_in_legacy(path)
            with _damage_told(path):
                return _load_legacy(path), _nothing


def _load_legacy(path: Path) -> object:
    """Apart, because torch keeps for each thread what it was told to do with all that it loads (`skip_data`)."""
    with path.open("rb") as file, ThreadPoolExecutor(1, "depthhub-reading") as apart:
        return apart.submit(torch.load, file, map_location="cpu", weights_only=True).result()


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
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


def _require_real_tensors(path: Path) -> None:
    """What is read becomes an entry that is shared: it must be numbers, not their description."""
    kind = type(torch.empty(1, device="cpu"))
    if kind is not Tensor:
        raise CheckpointError(
            f"{path} cannot be read here: torch was told to make a {kind.__name__} of every tensor. Load the model "
            "outside of that (FakeTensorMode, tracing).",
            path=path,
        )


def _require_dense(tensors: dict[str, Tensor], path: Path) -> None:
    """A few bytes can claim to be terabytes (a stride of 0): what is converted must not be more than what is there."""
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > (size := path.stat().st_size):
        raise CheckpointError(
            f"{path} has {size} bytes, but its tensors claim {claimed}: they share memory or repeat themselves. "
            "Save contiguous tensors.",
            path=path,
        )
