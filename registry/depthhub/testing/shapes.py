"""The keys and shapes of the authors' checkpoints, for any size: what a strict loader of theirs would ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The numbers that decide the shapes of an original checkpoint.

    width: features of a token; blocks: transformer blocks; base_grid: patches along a side of the stored
    position embedding; patch_size: pixels. reassembly_channels: of the four stages; fusion_channels: of the DPT
    head, and head_channels of its end. mlp: `swiglu` as in the giant encoder.
    """

    width: int
    blocks: int
    reassembly_channels: tuple[int, int, int, int]
    fusion_channels: int
    base_grid: int = 37
    patch_size: int = 14
    head_channels: int = 32
    mlp: Literal["gelu", "swiglu"] = "gelu"

    @property
    def mlp_width(self) -> int:
        """Hidden features of a block's feed-forward; SwiGLU has two thirds of them, in multiples of 8."""
        full = 4 * self.width
        return full if self.mlp == "gelu" else (full * 2 // 3 + 7) // 8 * 8


_TINY = (16, 32, 64, 128)

SIZES = {
    "vits": Size(width=384, blocks=12, reassembly_channels=(48, 96, 192, 384), fusion_channels=64),
    "vitb": Size(width=768, blocks=12, reassembly_channels=(96, 192, 384, 768), fusion_channels=128),
    "vitl": Size(width=1024, blocks=24, reassembly_channels=(256, 512, 1024, 1024), fusion_channels=256),
    "vitg": Size(
        width=1536, blocks=40, reassembly_channels=(1536, 1536, 1536, 1536), fusion_channels=384, mlp="swiglu"
    ),
    "tiny": Size(width=128, blocks=8, reassembly_channels=_TINY, fusion_channels=32, base_grid=16),
    "tiny-swiglu": Size(width=128, blocks=8, reassembly_channels=_TINY, fusion_channels=32, base_grid=16, mlp="swiglu"),
}
"""The authors' sizes, and two small ones for tests."""


def find_size(encoder: str | Size) -> Size:
    """A size by its name. Raises ValueError for a name that there is none of."""
    if isinstance(encoder, Size):
        return encoder
    if encoder not in SIZES:
        raise ValueError(f"encoder {encoder!r} is none of {', '.join(SIZES)}; for another size give a Size")
    return SIZES[encoder]


def original_shapes(encoder: str | Size = "tiny") -> dict[str, Shape]:
    """Key -> shape of an original checkpoint (V1, V2 and V2 metric alike), in the order of its state dict.

    encoder: `vits`, `vitb`, `vitl`, `vitg`, `tiny`, `tiny-swiglu`, or a Size of your own.
    """
    size = find_size(encoder)
    return dict([*_encoder(size), *_head(size)])


def _encoder(size: Size) -> Iterator[tuple[str, Shape]]:
    """`depth_anything_v2/dinov2.py`."""
    width = size.width
    yield "pretrained.cls_token", (1, 1, width)
    yield "pretrained.pos_embed", (1, 1 + size.base_grid**2, width)
    yield "pretrained.mask_token", (1, width)
    yield from _layer("pretrained.patch_embed.proj", (width, 3, size.patch_size, size.patch_size))
    for number in range(size.blocks):
        block = f"pretrained.blocks.{number}"
        yield from _layer(f"{block}.norm1", (width,))
        yield from _layer(f"{block}.attn.qkv", (3 * width, width))
        yield from _layer(f"{block}.attn.proj", (width, width))
        yield f"{block}.ls1.gamma", (width,)
        yield from _layer(f"{block}.norm2", (width,))
        if size.mlp == "gelu":
            yield from _layer(f"{block}.mlp.fc1", (size.mlp_width, width))
            yield from _layer(f"{block}.mlp.fc2", (width, size.mlp_width))
        else:
            yield from _layer(f"{block}.mlp.w12", (2 * size.mlp_width, width))
            yield from _layer(f"{block}.mlp.w3", (width, size.mlp_width))
        yield f"{block}.ls2.gamma", (width,)
    yield from _layer("pretrained.norm", (width,))


def _head(size: Size) -> Iterator[tuple[str, Shape]]:
    """`depth_anything_v2/dpt.py`."""
    first, second, _, fourth = size.reassembly_channels
    fusion = size.fusion_channels
    for number, channels in enumerate(size.reassembly_channels):
        yield from _layer(f"depth_head.projects.{number}", (channels, size.width, 1, 1))
    yield from _layer("depth_head.resize_layers.0", (first, first, 4, 4))
    yield from _layer("depth_head.resize_layers.1", (second, second, 2, 2))
    yield from _layer("depth_head.resize_layers.3", (fourth, fourth, 3, 3))
    for number, channels in enumerate(size.reassembly_channels, start=1):
        yield f"depth_head.scratch.layer{number}_rn.weight", (fusion, channels, 3, 3)
    for number in (1, 2, 3, 4):
        refinenet = f"depth_head.scratch.refinenet{number}"
        yield from _layer(f"{refinenet}.out_conv", (fusion, fusion, 1, 1))
        for unit in ("resConfUnit1", "resConfUnit2"):
            for convolution in ("conv1", "conv2"):
                yield from _layer(f"{refinenet}.{unit}.{convolution}", (fusion, fusion, 3, 3))
    yield from _layer("depth_head.scratch.output_conv1", (fusion // 2, fusion, 3, 3))
    yield from _layer("depth_head.scratch.output_conv2.0", (size.head_channels, fusion // 2, 3, 3))
    yield from _layer("depth_head.scratch.output_conv2.2", (1, size.head_channels, 1, 1))


def _layer(name: str, weight: Shape) -> Iterator[tuple[str, Shape]]:
    """A weight and its bias."""
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]
