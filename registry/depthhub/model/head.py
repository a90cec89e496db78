"""From features to depth: enlarged to the input's size, then one channel and the last activation."""

from __future__ import annotations

from torch import Tensor, nn

from .config import ModelConfig
from .layers import Conv2d, Resize


class Head(nn.Module):
    """The DPT's head for one value a pixel (`scratch.output_conv1` and `output_conv2` of the authors' `dpt.py`).

    V1 and V2 end in a ReLU: relative inverse depth, near is large. The authors apply it twice, and V1 resizes once
    more to the size that the depth already has; neither changes a number, so neither is here.
    V2 metric (`metric_depth/depth_anything_v2/dpt.py`) ends in a sigmoid times the maximum: metres, far is large.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        fused, hidden = config.fusion_channels, config.head_channels
        self.max_depth = config.max_depth
        self.spatial_upsampler = nn.Sequential(Conv2d(fused, fused // 2, 3, padding=1), Resize())
        self.proj_1ch = nn.Sequential(
            Conv2d(fused // 2, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            Conv2d(hidden, 1, 1),
            nn.Sigmoid() if config.activation == "sigmoid" else nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor, hw: tuple[int, int]) -> Tensor:
        """B x C x h x w -> B x H x W, where hw = (H, W) is the size of the pixels."""
        project, resize = self.spatial_upsampler
        depth: Tensor = self.proj_1ch(resize(project(features), hw)).squeeze(1)
        return depth if self.max_depth is None else depth * self.max_depth
