"""From four feature maps to one: each is refined, added to what came from deeper, and enlarged."""

from __future__ import annotations

from torch import Tensor, nn

from .imgencoder import Stages
from .layers import Conv2d, Resize


class Fusion(nn.Module):
    """The fusion of the DPT (Ranftl et al. 2021, arXiv:2103.13413, section 3), which is that of RefineNet (Lin et
    al. 2017, arXiv:1611.06612; `scratch.refinenet*` of the authors' `dpt.py`, `util/blocks.py`).

    `blocks` are ordered like the stages, finest first; the work goes from the last to the first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            FusionBlock(channels, takes_fused=takes_fused) for takes_fused in (True, True, True, False)
        )

    def forward(self, stages: Stages) -> Tensor:
        """B x C at 4h x 4w, 2h x 2w, h x w and about half of it -> B x C x 8h x 8w.

        Every map is enlarged to the size of the next, not by two: an odd grid has no exact half.
        """
        upx4, upx2, noscale, downx2 = stages
        finest, fine, coarse, coarsest = self.blocks
        fused = coarsest(downx2, None, _hw(noscale))
        fused = coarse(noscale, fused, _hw(upx2))
        fused = fine(upx2, fused, _hw(upx4))
        height, width = _hw(upx4)
        full: Tensor = finest(upx4, fused, (2 * height, 2 * width))
        return full


class FusionBlock(nn.Module):
    """One stage joins: `conv_reassembly` refines its map, `scale_proj_seq` refines the sum, enlarges and projects it.

    The coarsest block has nothing to be added to, hence no `conv_reassembly`: its map is the sum.
    """

    def __init__(self, channels: int, *, takes_fused: bool) -> None:
        super().__init__()
        self.conv_reassembly = ResidualConv(channels) if takes_fused else None
        self.scale_proj_seq = nn.Sequential(ResidualConv(channels), Resize(), Conv2d(channels, channels, 1))

    def forward(self, stage: Tensor, fused: Tensor | None, hw: tuple[int, int]) -> Tensor:
        """B x C x h x w of the stage and of what came from deeper -> B x C x hw."""
        total = stage if self.conv_reassembly is None else fused + self.conv_reassembly(stage)
        refine, resize, project = self.scale_proj_seq
        out: Tensor = project(resize(refine(total), hw))
        return out


class ResidualConv(nn.Module):
    """A residual unit, activations first (`ResidualConvUnit` of `util/blocks.py`). B x C x h x w -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resconv_seq = nn.Sequential(
            nn.ReLU(),
            Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        refined: Tensor = features + self.resconv_seq(features)
        return refined


def _hw(features: Tensor) -> tuple[int, int]:
    return features.shape[-2], features.shape[-1]
