"""From pixels to tokens: each patch of the image becomes one vector."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .layers import Conv2d


class PatchEmbed(nn.Module):
    """The patch embedding of ViT (Dosovitskiy et al. 2021, arXiv:2010.11929; `dinov2_layers/patch_embed.py`).

    A convolution whose stride is its kernel: every patch of P x P pixels is projected on its own.
    """

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = Conv2d(3, width, patch_size, stride=patch_size)

    def forward(self, pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """B x 3 x H x W -> B x N x F, row by row, and the grid of its N = h x w patches: (h, w) = (H / P, W / P).

        Pixels of another floating dtype than the weights' are cast to theirs. ValueError for any other input.
        """
        self._check(pixels)
        grid = (pixels.shape[-2] // self.patch_size, pixels.shape[-1] // self.patch_size)
        features = self.proj(pixels.to(self.proj.weight.dtype))
        return features.flatten(2).transpose(1, 2), grid

    def _check(self, pixels: Tensor) -> None:
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(
                f"pixels must be B x 3 x H x W, normalised; got {_by(pixels.shape)}. "
                "For one image use model.infer(image)."
            )
        if not pixels.is_floating_point():
            raise ValueError(
                f"pixels must be floating point, normalised with ImageNet's mean and deviation; got {pixels.dtype}."
                " For an image of 8 bits use model.infer(image)."
            )
        height, width = pixels.shape[-2:]
        size = self.patch_size
        if height % size or width % size or not height or not width:
            raise ValueError(
                f"pixels are {_by(pixels.shape)}, but both sides must be multiples of the patch size {size}: "
                f"the nearest good size is {_nearest(height, size)} x {_nearest(width, size)}. "
                "model.infer(image) takes any size."
            )


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"


def _nearest(side: int, size: int) -> int:
    """The multiple of `size`, at least one, that is nearest to `side`."""
    return max((side + size // 2) // size, 1) * size
