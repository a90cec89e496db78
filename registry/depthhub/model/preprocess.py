"""From an image to the network's input and back to the image's size, as the authors do it, without OpenCV.

After `util/transform.py` and `infer_image` of Depth-Anything-V2's `dpt.py`. V1 (`run.py`) prepares its input in the
same way, but aligns no corners when it resizes the depth; here all families do as V2 does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .bicubic import resize_bicubic

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""ImageNet's, of red, green and blue in 0..1."""

HW = tuple[int, int]


def fit(size: HW, input_size: int, patch_size: int) -> HW:
    """The size (height, width) at which the network sees an image of `size`: the shorter side is `input_size`.

    The aspect is kept, both sides are rounded to whole patches, and neither gets below `input_size`.
    """
    if input_size < 1:
        raise ValueError(f"input_size is the shorter side in pixels, 1 or more; got {input_size}")
    height, width = size
    scale = max(input_size / height, input_size / width)
    return _whole_patches(scale * height, input_size, patch_size), _whole_patches(scale * width, input_size, patch_size)


def normalised_pixels(rgb: Tensor, size: HW) -> Tensor:
    """H x W x 3 uint8 -> 1 x 3 x size float32, resized and normalised.

    Nothing clamps what overshoots at edges, as with the authors, who resize a float image.
    """
    planes = resize_bicubic(rgb, size) / 255
    mean, deviation = (
        torch.tensor(values, dtype=torch.float32, device=rgb.device).view(3, 1, 1) for values in (MEAN, DEVIATION)
    )
    return ((planes - mean) / deviation).unsqueeze(0).contiguous()


def resized_depth(depth: Tensor, size: HW) -> Tensor:
    """1 x H x W -> float32 of `size`, bilinear with corners aligned."""
    return interpolate(depth.float().unsqueeze(1), size=size, mode="bilinear", align_corners=True)[0, 0]


def _whole_patches(side: float, least: int, patch_size: int) -> int:
    # Python rounds halves to even, as the authors' np.round does.
    rounded = round(side / patch_size) * patch_size
    return rounded if rounded >= least else math.ceil(side / patch_size) * patch_size
