"""Opening an original file: safely, mapped, and down to its tensors under bare names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError, DepthHubError
from .checksums import require_checksums
from .containers import OpenCheckpoint, require_utf8, unreadable
from .layouts import Layout, detect
from .legacy import read_legacy
from .pickles import Pickle, safe_legacy_pickles_in, safe_pickle_in
from .unpickled import unpickle
from .words import shown
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


def read_checkpoint(opened: OpenCheckpoint, *, checked: bool = False) -> Checkpoint:
    """The tensors of `opened`, whatever its suffix says, once what its format has checksums for was checked.

    Nothing is copied, unless it lies where processors cannot use it. checked: its checksums were found right already.

    Raises CheckpointError where it cannot be read; UnsafeCheckpointError where it holds more than tensors and plain
    containers; UnsupportedModelError where it is another model than a plain DPT.
    """
    path = opened.path
    if sys.byteorder != "little":
        raise CheckpointError(f"{path}: big-endian machines are not supported.", path=path)
    _require_real_tensors(path)
    try:
        saved, release = _read(opened, checked=checked)
    except OSError as error:
        if isinstance(error, DepthHubError):
            raise
        raise unreadable(path, error) from error
    found = unwrap(saved, path=path)
    layout = detect(found.tensors, path=path)
    _require_dense(found.tensors, opened)
    notes = () if layout == "original" else (f"the names are in the {layout} layout",)
    return Checkpoint(path, layout, found.tensors, (*found.decisions, *notes), release)


def _read(opened: OpenCheckpoint, *, checked: bool) -> tuple[object, Callable[[], None]]:
    match opened.container:
        case "safetensors":
            require_utf8(opened.path)
            return _safetensors_in(opened), _nothing
        case "zip":
            archive = Zipped.of(opened)
            pickle = safe_pickle_in(archive)
            if not checked:
                require_checksums(archive)
            with _damage_told(opened.path):
                return saved_in(archive, pickle), archive.release
        case "legacy":
            pickles = safe_legacy_pickles_in(opened)
            with _damage_told(opened.path):
                return read_legacy(opened, pickles), _nothing


def saved_in(archive: Zipped, pickle: Pickle) -> object:
    """What torch.save was given. Raises whatever the unpickler stumbles over."""
    found, records = unpickle(pickle.content), {}
    for key in found.claims:
        member = archive.members.get(f"{pickle.folder}/data/{key}")
        if member is None:
            raise ValueError(f"it has no record {key}")
        records[key] = archive.bytes_of(member)
    return found.with_tensors(records)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # an unpickler raises whatever it stumbles over
        first_line = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint; it is damaged, or written in a way that cannot be read safely "
            f"({type(error).__name__}: {shown(first_line, 300)}). Download it again, or save its state dict again with "
            "torch.save.",
            path=path,
        ) from error


def _safetensors_in(opened: OpenCheckpoint) -> dict[str, Tensor]:
    path = opened.path
    try:
        # Before its version 0.6 it makes what it gives on torch's default device, whatever it was asked for.
        with torch.device("cpu"), safe_open(opened.own_path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    except (MemoryError, RuntimeError) as error:  # no room in memory for its map
        raise unreadable(path, error) from error
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} begins as a safetensors file, but is cut short or damaged ({shown(str(error), 300)}). "
            "Download it again.",
            path=path,
        ) from error


def _require_real_tensors(path: Path) -> None:
    """What is read becomes an entry that is shared: it must be numbers, not their description."""
    made = torch.empty(1, device="cpu")
    try:
        is_real = type(made) is Tensor and made.data_ptr() != 0
    except RuntimeError:  # what torch.func makes has no memory, whatever its type
        is_real = False
    if not is_real:
        raise CheckpointError(
            f"{path} cannot be read here: torch was told to make something else of every tensor "
            f"({type(made).__name__}). Load the model outside of that (FakeTensorMode, tracing, torch.func).",
            path=path,
        )


def _require_dense(tensors: dict[str, Tensor], opened: OpenCheckpoint) -> None:
    """A few bytes can claim to be terabytes (a stride of 0): what is converted must not be more than what is there."""
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > opened.size:
        raise CheckpointError(
            f"{opened.path} has {opened.size} bytes, but its tensors claim {claimed}: they share memory or repeat "
            "themselves. Save contiguous tensors.",
            path=opened.path,
        )
