"""What a Depth-Anything model is built from: plain data, importable without torch.

`Build` is what shapes cannot tell (taps, last activation, maximum depth); `ModelConfig` is everything.
"""

import reprlib
import sys
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

Family = Literal["v1", "v2", "v2-metric"]
"""The three ways to build the same tensors (architecture of Depth-Anything V1, V2 and V2 metric)."""

Mlp = Literal["gelu", "swiglu"]
Activation = Literal["relu", "sigmoid"]
Taps = tuple[int, int, int, int]

FAMILIES: tuple[Family, ...] = get_args(Family)
METRIC: Family = "v2-metric"


class _Build(NamedTuple):
    family: Family
    max_depth: float | None
    taps: Taps | None


class Build(_Build):
    """How to build a model from a checkpoint, where shapes alone cannot tell.

    family: which taps and which last activation.
    max_depth: metres; needed by `v2-metric`, meaningless elsewhere.
    taps: 0-based encoder blocks whose tokens are tapped, ascending; None follows the family's rule.

    Equal numbers make equal builds: max_depth becomes a float, and taps a tuple. Raises ValueError on anything else
    than a family of ours, a finite depth above 0, and four ascending ints from 0.
    """

    __slots__ = ()

    def __new__(cls, family: Family, max_depth: float | None = None, taps: Taps | None = None) -> "Build":
        if family not in FAMILIES:
            raise ValueError(f"family {reprlib.repr(family)} is none of {', '.join(FAMILIES)}")
        if family == METRIC:
            max_depth = _metres(max_depth)
        elif max_depth is not None:
            raise ValueError(f"max_depth belongs to family v2-metric; family {family} has none")
        return super().__new__(cls, family, max_depth, None if taps is None else _four_blocks(taps))

    @property
    def activation(self) -> Activation:
        return "sigmoid" if self.family == METRIC else "relu"

    def taps_for(self, blocks: int) -> Taps:
        """The tapped blocks of an encoder with `blocks` blocks (0-based)."""
        if self.taps is not None:
            return self.taps
        return _last_four(blocks) if self.family == "v1" else _spread(blocks)

    def to_json(self) -> dict[str, Any]:
        return {"family": self.family, "max_depth": self.max_depth, "taps": self.taps and list(self.taps)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Build":
        """The build that `to_json` wrote. Raises ValueError, TypeError or KeyError on anything else."""
        if not isinstance(data, Mapping):
            raise TypeError(f"a build is a mapping with a family; got {reprlib.repr(data)}")
        return cls(data["family"], data.get("max_depth"), data.get("taps"))


def _metres(value: object) -> float:
    """`value`, where it is a depth. True is an int to Python, but it is no depth, and neither is a text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            metres = float(value)
        except OverflowError:
            metres = float("inf")
        if sys.float_info.min <= metres <= sys.float_info.max:  # smaller ones are 0 to a processor that is told so
            return metres
        value = metres
    raise ValueError(f"family v2-metric needs max_depth in metres, more than 0; got {reprlib.repr(value)}")


def _four_blocks(value: object) -> Taps:
    if isinstance(value, list | tuple) and len(value) == 4 and all(type(block) is int for block in value):
        first, second, third, fourth = value
        if 0 <= first < second < third < fourth:
            return (first, second, third, fourth)
    raise ValueError(f"taps are four blocks of the encoder, whole numbers from 0, ascending; got {reprlib.repr(value)}")


def _last_four(blocks: int) -> Taps:
    """Depth-Anything V1 (`depth_anything/dpt.py`): the last four blocks."""
    return (blocks - 4, blocks - 3, blocks - 2, blocks - 1)


def _spread(blocks: int) -> Taps:
    """Depth-Anything V2 (`depth_anything_v2/dpt.py`): the ends of four equal stages.

    The authors tap 24 blocks at 4, 11, 17, 23: their first tap is not the end of a stage, so that one is a table.
    """
    if blocks == 24:
        return (4, 11, 17, 23)
    first, second, third, fourth = (blocks * stage // 4 - 1 for stage in (1, 2, 3, 4))
    return (first, second, third, fourth)


HEAD_WIDTH = 64
"""Features of an attention head, in every size."""

_LARGEST, _MOST_BLOCKS = 1 << 16, 1 << 10
"""What no model comes near to: what is read from a file is built only below."""


class ModelConfig(NamedTuple):
    """Everything that decides the modules and the forward of a model.

    width: features of a token; blocks: transformer blocks; heads: attention heads (width / 64).
    patch_size: pixels; base_grid: rows and columns of patches of the stored position embedding.
    reassembly_channels: channels of the four stages; fusion_channels, head_channels: of the DPT head.
    mlp, mlp_width: kind and hidden width of the feed-forward. taps, activation, max_depth: see `Build`.
    """

    family: Family
    width: int
    blocks: int
    heads: int
    patch_size: int
    base_grid: tuple[int, int]
    reassembly_channels: tuple[int, int, int, int]
    fusion_channels: int
    head_channels: int
    mlp: Mlp
    mlp_width: int
    taps: Taps
    activation: Activation
    max_depth: float | None

    @property
    def is_metric(self) -> bool:
        """True: the output is depth in metres (far is large); False: relative inverse depth (near is large)."""
        return self.max_depth is not None

    @property
    def encoder(self) -> str | None:
        """`vits`, `vitb`, `vitl` or `vitg` where width and blocks are those of a released size, else None."""
        return ENCODERS.get((self.width, self.blocks))

    def summary(self) -> str:
        """One line for people: `vits (v2): 12 blocks of width 384, taps 2, 5, 8, 11, relative inverse depth`."""
        output = f"metres up to {self.max_depth:g}" if self.max_depth is not None else "relative inverse depth"
        return (
            f"{self.encoder or 'a size of its own'} ({self.family}): {self.blocks} blocks of width {self.width}, "
            f"taps {', '.join(map(str, self.taps))}, {output}"
        )

    def to_json(self) -> dict[str, Any]:
        return {name: list(v) if isinstance(v, tuple) else v for name, v in self._asdict().items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModelConfig":
        """The config that `to_json` wrote. Raises ValueError, TypeError or KeyError on anything else."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
        config = cls(**fields)
        build = Build(config.family, config.max_depth, config.taps)
        sizes = (config.width, config.heads, config.patch_size, config.fusion_channels, config.head_channels)
        several = (*config.base_grid, *config.reassembly_channels)
        if not all(type(size) is int and 0 < size <= _LARGEST for size in (*sizes, *several, config.mlp_width)):
            raise ValueError("a size of the model is no number from 1 on, or is larger than any model")
        if type(config.blocks) is not int or not 4 <= config.blocks <= _MOST_BLOCKS or config.taps[-1] >= config.blocks:
            raise ValueError(f"no model has {reprlib.repr(config.blocks)} blocks, tapped at {config.taps}")
        if config.width != config.heads * HEAD_WIDTH or config.mlp not in get_args(Mlp):
            raise ValueError("its heads or its kind of feed-forward are those of no model")
        if (len(config.base_grid), len(config.reassembly_channels)) != (2, 4) or config.activation != build.activation:
            raise ValueError("its grid, its stages or its last activation are those of no model")
        return config


ENCODERS = {(384, 12): "vits", (768, 12): "vitb", (1024, 24): "vitl", (1536, 40): "vitg"}
"""Width and blocks of the released sizes -> their names."""
