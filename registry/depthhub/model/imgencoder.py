"""The image encoder: a vision transformer whose tokens are tapped at four depths."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .block import Block
from .config import ModelConfig
from .layers import LayerNorm, alike, unfilled
from .posenc import PositionEncoding

Stages = tuple[Tensor, Tensor, Tensor, Tensor]
"""One tensor of each of the four stages, from the shallowest tap to the deepest."""


class ImageEncoder(nn.Module):
    """DINOv2 without registers (Oquab et al. 2023, arXiv:2304.07193; the authors' `dinov2.py`).

    Depth-Anything V1 and V2 are the same encoder, tapped at other blocks: `config.taps`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.taps = _checked_taps(config)
        self.cls_token = unfilled(1, 1, config.width)
        self.posenc = PositionEncoding(config.width, config.base_grid)
        block = Block(config.width, config.heads, config.mlp, config.mlp_width)
        self.blocks = nn.ModuleList(alike(block, config.blocks))
        self.outnorm = LayerNorm(config.width)

    def forward(self, patches: Tensor, grid: tuple[int, int]) -> Stages:
        """B x N x F of a grid of patches -> four times B x N x F: the patches' tokens at the taps, normalised.

        The class token takes part in attention and is then dropped (the "ignore" readout of the DPT paper).
        """
        tokens = torch.cat((self.cls_token.expand(patches.shape[0], -1, -1), patches), dim=1)
        tokens = tokens + self.posenc(grid)
        tapped = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.taps:
                tapped.append(self.outnorm(tokens)[:, 1:])
        first, second, third, fourth = tapped
        return first, second, third, fourth


def _checked_taps(config: ModelConfig) -> tuple[int, ...]:
    taps = config.taps
    if len(taps) != 4 or list(taps) != sorted(set(taps)) or taps[0] < 0 or taps[-1] >= config.blocks:
        raise ValueError(
            f"taps must be four ascending blocks of 0 to {config.blocks - 1}; got {', '.join(map(str, taps))}"
        )
    return taps
