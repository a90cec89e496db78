"""From tokens to images: four feature maps at four resolutions, one for each tap."""

from __future__ import annotations

from torch import Tensor, nn

from .config import ModelConfig
from .imgencoder import Stages
from .layers import Conv2d, ConvTranspose2d


class Reassemble(nn.Module):
    """The reassembly of the DPT (Ranftl et al. 2021, arXiv:2103.13413, section 3; `projects`, `resize_layers`
    and `scratch.layer*_rn` of the authors' `dpt.py`).

    The shallower the tap, the finer its map: 4, 2, 1 and 1/2 times the grid of patches.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, fused = config.width, config.fusion_channels
        upx4, upx2, noscale, downx2 = config.reassembly_channels
        self.spatial_upx4 = Stage(width, upx4, fused, ConvTranspose2d(upx4, upx4, 4, stride=4))
        self.spatial_upx2 = Stage(width, upx2, fused, ConvTranspose2d(upx2, upx2, 2, stride=2))
        self.spatial_noscale = Stage(width, noscale, fused)
        self.spatial_downx2 = Stage(width, downx2, fused, Conv2d(downx2, downx2, 3, stride=2, padding=1))

    def forward(self, stages: Stages, grid: tuple[int, int]) -> Stages:
        """Four times B x N x F of an h x w grid -> B x C at 4h x 4w, 2h x 2w, h x w, and half of it rounded up."""
        first, second, third, fourth = stages
        return (
            self.spatial_upx4(first, grid),
            self.spatial_upx2(second, grid),
            self.spatial_noscale(third, grid),
            self.spatial_downx2(fourth, grid),
        )


class Stage(nn.Module):
    """One tap: `resample` projects the tokens and scales their map, `fuse_proj` gives it the fusion's channels."""

    def __init__(self, width: int, channels: int, fused: int, scale: nn.Module | None = None) -> None:
        super().__init__()
        project = Conv2d(width, channels, 1)
        self.resample = nn.Sequential(project) if scale is None else nn.Sequential(project, scale)
        self.fuse_proj = Conv2d(channels, fused, 3, padding=1, bias=False)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """B x N x F -> B x fused x h' x w'."""
        batch, _, width = tokens.shape
        image = tokens.transpose(1, 2).reshape(batch, width, *grid)
        out: Tensor = self.fuse_proj(self.resample(image))
        return out
