"""Where a token comes from: the learned position embedding, resampled to the grid of the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .layers import unfilled

OFFSET = 0.1
"""Added to the number of patches before the scale is taken, so that rounding never loses a patch: a work-around of
DINO (github.com/facebookresearch/dino/issues/8) that DINOv2 kept. Resampling to the exact size instead gives other
positions and visibly another depth."""


class PositionEncoding(nn.Module):
    """The position embedding of DINOv2 (Oquab et al. 2023, arXiv:2304.07193; `interpolate_pos_encoding` of the
    authors' `dinov2.py`): learned for one grid of patches, resampled for any other.
    """

    def __init__(self, width: int, base_grid: tuple[int, int]) -> None:
        super().__init__()
        self.base_grid = base_grid
        self.cls_embedding = unfilled(1, 1, width)
        self.base_patch_embedding = unfilled(1, base_grid[0] * base_grid[1], width)

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """Rows and columns of patches -> 1 x (1 + N) x F: of the class token, which has no place, then of N patches."""
        return torch.cat((self.cls_embedding, self._patches(grid)), dim=1)

    def _patches(self, grid: tuple[int, int]) -> Tensor:
        base = self.base_patch_embedding
        if grid == self.base_grid:
            return base
        scale = ((grid[0] + OFFSET) / self.base_grid[0], (grid[1] + OFFSET) / self.base_grid[1])
        # In float32 whatever the weights are, as the authors do.
        planes = base.float().reshape(1, *self.base_grid, -1).permute(0, 3, 1, 2)
        resampled = interpolate(planes, scale_factor=scale, mode="bicubic")
        return resampled.flatten(2).transpose(1, 2).to(base.dtype)
