"""The size of a model, from the shapes of its original tensors alone, and the shapes that a size must have.

Any size loads, released or not. Not in the shapes: which blocks are tapped, the last activation, the maximum depth;
they come as a `Build`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import CheckpointError
from ..model.config import Build, Mlp, ModelConfig
from .account import account_error, compact
from .recipe import UNUSED
from .rules import DEPTHHUB
from .words import listed

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

HEAD_WIDTH = 64
"""Features of one attention head, in every size of DINOv2."""

TAPPED = 4
"""Blocks whose tokens reach the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Everything of a `ModelConfig` that shapes can tell: all but family, taps, activation and maximum depth."""

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

    def are_those_of(self, config: ModelConfig) -> bool:
        return all(getattr(config, name) == size for name, size in asdict(self).items())

    def config(self, build: Build) -> ModelConfig:
        """The model of this size, built so. Raises ValueError where its taps are no blocks of this encoder."""
        taps = build.taps_for(self.blocks)
        if sorted(set(taps)) != list(taps) or not 0 <= taps[0] <= taps[-1] < self.blocks:
            raise ValueError(f"taps {taps} are not four ascending blocks out of 0 to {self.blocks - 1}")
        return ModelConfig(
            family=build.family,
            taps=taps,
            activation=build.activation,
            max_depth=build.max_depth,
            **asdict(self),
        )

    @property
    def encoder(self) -> str | None:
        """`vits`, `vitb`, `vitl` or `vitg` where the size is a released one, else None."""
        return self.config(Build("v2")).encoder  # the name depends on no family

    def __str__(self) -> str:
        rows, columns = self.base_grid
        return (
            f"{self.encoder or 'a size that nobody has released'}: {self.blocks} blocks of width {self.width}, "
            f"{self.heads} heads, {self.mlp} feed-forward of width {self.mlp_width}, "
            f"{rows} x {columns} patches of {self.patch_size} pixels; "
            f"reassembly {', '.join(map(str, self.reassembly_channels))}, "
            f"fusion {self.fusion_channels}, head {self.head_channels} channels"
        )


def infer_config(shapes: Shapes, build: Build, *, path: Path) -> ModelConfig:
    """The config of the model whose original tensors have these shapes, built as `build` says.

    Raises what `describe` raises, and CheckpointError where the taps do not fit the number of blocks.
    """
    sizes = describe(shapes, path=path)
    try:
        return sizes.config(build)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}. Say taps that exist, or none.", path=path) from error


def describe(shapes: Shapes, *, path: Path) -> Sizes:
    """What the shapes of a state dict (original names) tell: everything but the family.

    Raises CheckpointError where they are those of no DPT, and UnknownKeysError with the exact account where a tensor is
    missing, too many, or of a shape that contradicts the others. `path` is the file, for the message.
    """
    sizes = _read_sizes(shapes, path)
    expected = original_shapes(sizes)
    missing = [name for name in expected if name not in shapes and not is_unused(name)]
    unexpected = [name for name in shapes if name not in expected]
    misshapen = [
        f"{name}: {_by(shapes[name])} instead of {_by(shape)}"
        for name, shape in expected.items()
        if name in shapes and tuple(shapes[name]) != shape
    ]
    if missing or unexpected or misshapen:
        raise account_error(
            path,
            f"the tensors are not those of one model. By the main ones it is {sizes}. Names are the original layout's.",
            unexpected=unexpected,
            missing=missing,
            misshapen=misshapen,
            advice="A fine-tuned or derived model that adds or removes layers cannot be loaded as a plain DPT.",
        )
    return sizes


def is_unused(original: str) -> bool:
    """True of tensors that take no part in inference; a file may leave them out."""
    renaming = DEPTHHUB.of_original(original)
    return renaming is not None and renaming.others[0].startswith(UNUSED)


def original_shapes(sizes: Sizes | ModelConfig) -> dict[str, Shape]:
    """Every tensor of a model of this size, original names, in the order of the authors' state dict."""
    width, patch, grid = sizes.width, sizes.patch_size, sizes.base_grid
    shapes: dict[str, Shape] = {
        "pretrained.cls_token": (1, 1, width),
        "pretrained.pos_embed": (1, 1 + grid[0] * grid[1], width),
        "pretrained.mask_token": (1, width),
        **_layer("pretrained.patch_embed.proj", width, 3, patch, patch),
    }
    for block in range(sizes.blocks):
        shapes |= _block_shapes(f"pretrained.blocks.{block}", sizes)
    shapes |= _layer("pretrained.norm", width)
    return shapes | _head_shapes(sizes)


def _block_shapes(block: str, sizes: Sizes | ModelConfig) -> dict[str, Shape]:
    width, hidden = sizes.width, sizes.mlp_width
    if sizes.mlp == "gelu":
        mlp = _layer(f"{block}.mlp.fc1", hidden, width) | _layer(f"{block}.mlp.fc2", width, hidden)
    else:
        mlp = _layer(f"{block}.mlp.w12", 2 * hidden, width) | _layer(f"{block}.mlp.w3", width, hidden)
    return {
        **_layer(f"{block}.norm1", width),
        **_layer(f"{block}.attn.qkv", 3 * width, width),
        **_layer(f"{block}.attn.proj", width, width),
        f"{block}.ls1.gamma": (width,),
        **_layer(f"{block}.norm2", width),
        **mlp,
        f"{block}.ls2.gamma": (width,),
    }


def _head_shapes(sizes: Sizes | ModelConfig) -> dict[str, Shape]:
    channels, fused, hidden = sizes.reassembly_channels, sizes.fusion_channels, sizes.head_channels
    shapes: dict[str, Shape] = {}
    for stage in range(TAPPED):
        shapes |= _layer(f"depth_head.projects.{stage}", channels[stage], sizes.width, 1, 1)
    for stage, kernel in ((0, 4), (1, 2), (3, 3)):  # enlarges by 4 and 2, halves; stage 2 keeps its size
        shapes |= _layer(f"depth_head.resize_layers.{stage}", channels[stage], channels[stage], kernel, kernel)
    for stage in range(TAPPED):
        shapes[f"depth_head.scratch.layer{stage + 1}_rn.weight"] = (fused, channels[stage], 3, 3)
    for stage in range(1, TAPPED + 1):
        fusion = f"depth_head.scratch.refinenet{stage}"
        shapes |= _layer(f"{fusion}.out_conv", fused, fused, 1, 1)
        for unit in ("resConfUnit1.conv1", "resConfUnit1.conv2", "resConfUnit2.conv1", "resConfUnit2.conv2"):
            shapes |= _layer(f"{fusion}.{unit}", fused, fused, 3, 3)
    shapes |= _layer("depth_head.scratch.output_conv1", fused // 2, fused, 3, 3)
    shapes |= _layer("depth_head.scratch.output_conv2.0", hidden, fused // 2, 3, 3)
    return shapes | _layer("depth_head.scratch.output_conv2.2", 1, hidden, 1, 1)


def _layer(name: str, *weight: int) -> dict[str, Shape]:
    """Weight and bias. All of them, transposed convolutions too, have as many biases as the weight's first side."""
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def _read_sizes(shapes: Shapes, path: Path) -> Sizes:
    swiglu = "pretrained.blocks.0.mlp.w3.weight" in shapes
    hidden = "pretrained.blocks.0.mlp.w3.weight" if swiglu else "pretrained.blocks.0.mlp.fc1.weight"
    _require(shapes, {**_TELLING, hidden: 2}, path)

    width = shapes["pretrained.cls_token"][2]
    patches = shapes["pretrained.pos_embed"][1] - 1
    patch_hw = shapes["pretrained.patch_embed.proj.weight"][2:]
    blocks = {int(name.split(".")[2]) for name in shapes if _names_a_block(name)}
    side = math.isqrt(max(patches, 0))

    wrong = []
    if empty := [name for name, shape in shapes.items() if 0 in shape]:
        wrong.append(f"tensors without a single number: {listed(compact(empty), 12)}")
    if width % HEAD_WIDTH:
        wrong.append(f"width {width} is not a multiple of {HEAD_WIDTH}, the features of an attention head")
    if side == 0 or side * side != patches:
        wrong.append(f"the position embedding is for {patches} patches, which are no square grid")
    if patch_hw[0] != patch_hw[1]:
        wrong.append(f"the patches are not square but {_by(patch_hw)} pixels")
    if gaps := sorted(set(range(max(blocks))) - blocks):
        wrong.append(f"blocks are numbered up to {max(blocks)}, but these are missing: {_some(gaps)}")
    elif len(blocks) < TAPPED:
        wrong.append(f"the encoder has {len(blocks)} blocks; the head taps {TAPPED}")
    if wrong:
        raise CheckpointError(f"{path}: no Depth-Anything model has such shapes: {'; '.join(wrong)}.", path=path)

    first, second, third, fourth = (shapes[f"depth_head.projects.{stage}.weight"][0] for stage in range(TAPPED))
    return Sizes(
        width=width,
        blocks=len(blocks),
        heads=width // HEAD_WIDTH,
        patch_size=patch_hw[0],
        base_grid=(side, side),
        reassembly_channels=(first, second, third, fourth),
        fusion_channels=shapes["depth_head.scratch.layer1_rn.weight"][0],
        head_channels=shapes["depth_head.scratch.output_conv2.0.weight"][0],
        mlp="swiglu" if swiglu else "gelu",
        mlp_width=shapes[hidden][1 if swiglu else 0],
    )


_TELLING = {
    "pretrained.cls_token": 3,
    "pretrained.pos_embed": 3,
    "pretrained.patch_embed.proj.weight": 4,
    **{f"depth_head.projects.{stage}.weight": 4 for stage in range(TAPPED)},
    "depth_head.scratch.layer1_rn.weight": 4,
    "depth_head.scratch.output_conv2.0.weight": 4,
}
"""The tensors from which the size is read, with their number of dimensions."""


def _require(shapes: Shapes, telling: Mapping[str, int], path: Path) -> None:
    missing = [name for name in telling if name not in shapes]
    misshapen = [
        f"{name}: {_by(shapes[name])} instead of {dims} dimensions"
        for name, dims in telling.items()
        if name in shapes and len(shapes[name]) != dims
    ]
    if missing or misshapen:
        raise account_error(
            path,
            "the size of the model cannot be told: tensors that tell it are missing or misshapen. "
            "Names are the original layout's.",
            unexpected=[name for name in shapes if DEPTHHUB.of_original(name) is None],
            missing=missing,
            misshapen=misshapen,
        )


def _names_a_block(name: str) -> bool:
    return name.startswith("pretrained.blocks.") and DEPTHHUB.of_original(name) is not None


def _by(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _some(numbers: list[int]) -> str:
    return listed(list(map(str, numbers)), 8)
