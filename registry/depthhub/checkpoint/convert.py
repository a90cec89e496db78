"""From a checkpoint to what is written: config from shapes, names by the rules, numbers untouched.

Nothing is copied here. What has to be made (a cast, a joined tensor) is made one tensor at a time, while it is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..model.config import ModelConfig
from .account import compact
from .cast import cast
from .joined import Weight, parts_of, whole
from .layouts import TABLES
from .pieces import is_blank
from .reading import Checkpoint
from .recipe import Recipe
from .rules import DEPTHHUB
from .shapes import Shape, Sizes, describe, infer_config, is_unused, original_shapes
from .words import listed

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""What a model computes in."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A model ready to be written: converted name -> weight, in the order of the authors' state dict.

    path: of the checkpoint, for messages. release: lets go of the memory of weights that were written.
    """

    path: Path
    config: ModelConfig
    recipe: Recipe
    weights: dict[str, Weight]
    release: Callable[[], None]

    def dtype(self, name: str) -> str:
        """What the numbers of `name` will be: float32, float16, bfloat16 or float64."""
        return self.recipe.dtype or str(self.weights[name].dtype).removeprefix("torch.")

    def tensor(self, name: str) -> Tensor:
        """The tensor to write, made now where it has to be made: contiguous, of the recipe's dtype.

        Raises CheckpointError where the recipe's dtype is too small for one of its numbers.
        """
        source = whole(self.weights[name])
        made, lost = cast(source, getattr(torch, self.dtype(name)), path=self.path)
        if lost:
            raise self._overflow(name, source, lost)
        return made

    def _overflow(self, name: str, source: Tensor, lost: int) -> CheckpointError:
        renaming = DEPTHHUB.of_other(name)
        kept = str(source.dtype).removeprefix("torch.")
        advice = "dtype='bfloat16', which reaches as far as float32" if self.recipe.dtype == "float16" else "another"
        return CheckpointError(
            f"{self.path}: {lost} of the {source.numel()} numbers of {renaming.original if renaming else name} are too "
            f"large for {self.recipe.dtype} and would become infinite. Take {advice}, or keep the file's {kept} "
            "(no dtype).",
            path=self.path,
        )


def convert(checkpoint: Checkpoint, recipe: Recipe) -> Converted:
    """`checkpoint`, as `recipe` says: views under converted names.

    Raises UnknownKeysError with the exact account of its names and shapes where they are not those of one model, and
    CheckpointError where its size or its dtypes are of none that can be built, or all numbers of a matrix are 0.
    """
    weights = _original_weights(checkpoint)
    config = infer_config(_shapes(weights), recipe.build, path=checkpoint.path)
    _require_floats(weights, recipe, checkpoint.path)
    _require_numbers(weights, checkpoint.path)
    in_order = {name: weights[name] for name in original_shapes(config) if name in weights}
    renamed = DEPTHHUB.from_original(in_order, path=checkpoint.path)
    return Converted(checkpoint.path, config, recipe, renamed, checkpoint.release)


def sizes_of(checkpoint: Checkpoint) -> Sizes:
    """What a checkpoint's shapes tell of it: everything but the family. Raises what `convert` raises."""
    return describe(_shapes(_original_weights(checkpoint)), path=checkpoint.path)


def _original_weights(checkpoint: Checkpoint) -> Mapping[str, Weight]:
    if checkpoint.layout == "original":
        return checkpoint.tensors
    return TABLES[checkpoint.layout].to_original(checkpoint.tensors, path=checkpoint.path)


def _shapes(weights: Mapping[str, Weight]) -> dict[str, Shape]:
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def _require_floats(weights: Mapping[str, Weight], recipe: Recipe, path: Path) -> None:
    counts = Counter(weight.dtype for name, weight in weights.items() if not is_unused(name))
    shown = ", ".join(f"{count} of {str(dtype).removeprefix('torch.')}" for dtype, count in counts.most_common())
    if not all(weight.dtype in FLOATS for weight in weights.values()):
        raise CheckpointError(
            f"{path}: not all of its tensors are floating-point numbers that a model computes in ({shown}). "
            "A quantised checkpoint cannot be converted; take the one that it was made from.",
            path=path,
        )
    if recipe.dtype is None and len(counts) > 1:
        raise CheckpointError(
            f"{path}: its tensors are of several dtypes ({shown}), and a model is of one. Say which: dtype='float32'.",
            path=path,
        )


def _require_numbers(weights: Mapping[str, Weight], path: Path) -> None:
    """No matrix of a model is all zeros."""
    matrices = {name: weight for name, weight in weights.items() if len(weight.shape) > 1 and not is_unused(name)}
    blank = [name for name, weight in matrices.items() if any(map(is_blank, parts_of(weight)))]
    if blank:
        raise CheckpointError(
            f"{path}: all numbers of {len(blank)} of its {len(matrices)} matrices are 0 ({listed(compact(blank), 4)}): "
            "room was made for them, and they were never written, as by a download or a copy that stopped, or by "
            "torch.save under skip_data. Download or copy it again, or save it again without that.",
            path=path,
        )
