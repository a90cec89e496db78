"""Bicubic resizing as OpenCV's INTER_CUBIC does it.

`torch.nn.functional.interpolate(mode="bicubic")` has the same kernel but finds the sampling positions in float32
throughout, so that its pixels differ more from OpenCV's the larger the image is (0.1 of 255 levels at 6 megapixels).
OpenCV (`modules/imgproc/src/resize.cpp`) finds them in float64 and rounds them to float32 once, and so does this.
"""

from __future__ import annotations

import torch
from torch import Tensor

A = -0.75
"""The free parameter of the kernel of Keys (1981, "Cubic convolution interpolation for digital image processing")."""


def resize_bicubic(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """H x W x C of any dtype -> C x size float32, in the same units. No antialiasing; borders are repeated.

    Values are not clamped: next to an edge they leave the range of the image.
    """
    rows = _resampled(rgb, size[0])  # h x W x C
    columns = _resampled(rows.transpose(0, 1).contiguous(), size[1])  # w x h x C; contiguous is several times faster
    return columns.permute(2, 1, 0)


def _resampled(image: Tensor, count: int) -> Tensor:
    """The first dimension resampled to `count` entries, each out of four neighbours."""
    length = image.shape[0]
    entries = torch.arange(count, dtype=torch.float64, device=image.device)
    positions = ((entries + 0.5) * (length / count) - 0.5).float()
    before = positions.floor()
    fraction = positions - before
    total = torch.zeros((count, *image.shape[1:]), dtype=torch.float32, device=image.device)
    for offset, weight in zip((-1, 0, 1, 2), _weights(fraction), strict=True):
        neighbour = (before.long() + offset).clamp(0, length - 1)
        total += image.index_select(0, neighbour).float().mul_(weight[:, None, None])
    return total


def _weights(fraction: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the neighbours at -1, 0, 1 and 2 around a position `fraction` after 0."""
    return _far(1 + fraction), _near(fraction), _near(1 - fraction), _far(2 - fraction)


def _near(distance: Tensor) -> Tensor:
    """The kernel within a distance of 1."""
    return ((A + 2) * distance - (A + 3)) * distance**2 + 1


def _far(distance: Tensor) -> Tensor:
    """The kernel at a distance of 1 to 2."""
    return ((A * distance - 5 * A) * distance + 8 * A) * distance - 4 * A
