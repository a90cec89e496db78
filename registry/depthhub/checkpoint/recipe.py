"""What decides a converted file besides the checkpoint's bytes: plain data, importable without torch."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from ..model.config import Build

LAYOUT_VERSION = 1
"""Version of the converted names and of the file that holds them. A change makes new keys, so new entries.

To be raised, too, by a release that mends how checkpoints are read: what an earlier one made wrongly is made again.
"""

UNUSED = "unused."
"""In front of the original names of tensors that take no part in inference: kept for the way back, never loaded."""

Dtype = Literal["float32", "float16", "bfloat16"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)


class _Recipe(NamedTuple):
    build: Build
    dtype: Dtype | None
    layout_version: int


class Recipe(_Recipe):
    """How a checkpoint is converted.

    build: family, maximum depth, taps. dtype: of every tensor; None keeps that of the file.
    layout_version: of the converted file. Raises ValueError on a dtype that is not one of ours.
    """

    __slots__ = ()

    def __new__(cls, build: Build, dtype: Dtype | None = None, layout_version: int = LAYOUT_VERSION) -> "Recipe":
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
        return super().__new__(cls, build, dtype, layout_version)

    def to_json(self) -> dict[str, Any]:
        """Plain data; equal recipes give equal JSON text, since it is hashed into the key of an entry."""
        return {"build": self.build.to_json(), "dtype": self.dtype, "layout_version": self.layout_version}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Recipe":
        return cls(Build.from_json(data["build"]), data["dtype"], data["layout_version"])
