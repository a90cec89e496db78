"""Depth on disk: a coloured PNG, a 16-bit PNG, or .npy; each appears under its name only when it is whole.

A 16-bit PNG says in its text chunk `depthhub` what its numbers mean: value = offset + step * stored number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, cast

from ..whole_file import whole_file
from .colour_map import coloured
from .output import to_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

Kind = Literal["colour", "side-by-side", "png16", "npy"]
Unit = Literal["metre", "relative inverse depth"]

_DEEPEST = 65535
_MILLIMETRE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the numbers of a 16-bit PNG mean: value = offset + step * number. clipped: pixels too far to be told."""

    unit: Unit
    offset: float
    step: float
    clipped: int = 0

    def __str__(self) -> str:
        if self.unit == "metre":
            cut = f"; {self.clipped} pixels are farther than 65.535 m and cut off" if self.clipped else ""
            return f"millimetres{cut}"
        return f"{self.unit} = {self.offset:.6g} + {self.step:.6g} * number"


def write_depth(
    path: Path, depth: npt.NDArray[np.float32], *, photo: Image.Image, kind: Kind, is_metric: bool, replace: bool
) -> Scale | None:
    """Write the H x W `depth` of `photo`. Gives back the scale of a 16-bit PNG, None for the other kinds.

    Raises FileExistsError where `path` is there, or appears meanwhile, and is not to be replaced. What killed processes
    have left beside it stays: see `sweep_folder`.
    """
    import numpy as np
    from PIL import Image, PngImagePlugin

    if kind == "npy":
        with whole_file(path, replace=replace, sweep=False) as file:
            np.save(cast(IO[bytes], file), depth)
        return None
    text = PngImagePlugin.PngInfo()
    if kind == "png16":
        numbers, scale = sixteen_bit(depth, is_metric=is_metric)
        picture = Image.fromarray(numbers)
        text.add_text("depthhub", json.dumps(to_json(scale)))
    else:
        picture, scale = Image.fromarray(coloured(depth, is_metric=is_metric)), None
        if kind == "side-by-side":
            picture = _beside(photo, picture)
    with whole_file(path, replace=replace, sweep=False) as file:
        picture.save(cast(IO[bytes], file), format="PNG", pnginfo=text)
    return scale


def sixteen_bit(depth: npt.NDArray[np.float32], *, is_metric: bool) -> tuple[npt.NDArray[np.uint16], Scale]:
    """Metres become millimetres, cut off at 65.535 m; relative depth is stretched from its minimum to its maximum."""
    import numpy as np

    if is_metric:
        scale = Scale(unit="metre", offset=0.0, step=_MILLIMETRE, clipped=int((depth > _DEEPEST * _MILLIMETRE).sum()))
    else:
        low, high = float(depth.min()), float(depth.max())
        scale = Scale(unit="relative inverse depth", offset=low, step=(high - low) / _DEEPEST or 1.0)
    numbers = (depth.astype(np.float64) - scale.offset) / scale.step
    return np.rint(numbers).clip(0, _DEEPEST).astype(np.uint16), scale


def _beside(photo: Image.Image, picture: Image.Image) -> Image.Image:
    from PIL import Image

    both = Image.new("RGB", (photo.width + picture.width, photo.height))
    both.paste(photo, (0, 0))
    both.paste(picture, (photo.width, 0))
    return both
