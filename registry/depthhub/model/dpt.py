"""The model: a DPT over DINOv2, as Depth-Anything builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .fusion import Fusion
from .head import Head
from .imgencoder import ImageEncoder
from .patch_embed import PatchEmbed
from .reassemble import Reassemble

if TYPE_CHECKING:
    from .image import Image


class DPT(nn.Module):
    """The dense prediction transformer (Ranftl et al. 2021, arXiv:2103.13413) of Depth-Anything V1 (Yang et al.
    2024, arXiv:2401.10891), V2 (Yang et al. 2024, arXiv:2406.09414) and V2 metric.

    A new DPT holds no weights, only whatever its memory held: `assign` gives it all of them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config.width, config.patch_size)
        self.imgencoder = ImageEncoder(config)
        self.reassemble = Reassemble(config)
        self.fusion = Fusion(config.fusion_channels)
        self.head = Head(config)

    def forward(self, pixels: Tensor) -> Tensor:
        """B x 3 x H x W -> B x H x W in the weights' dtype: metres where `config.is_metric`, else relative inverse
        depth, which has no unit.

        pixels: RGB, normalised with ImageNet's mean and deviation, H and W multiples of the patch size, on the
        model's device. Another floating dtype than the weights' is cast to theirs. ValueError for anything else.
        """
        patches, grid = self.patch_embed(pixels)
        stages = self.imgencoder(patches, grid)
        features = self.fusion(self.reassemble(stages, grid))
        depth: Tensor = self.head(features, (pixels.shape[-2], pixels.shape[-1]))
        return depth

    def infer(self, image: Image, *, input_size: int = 518) -> Tensor:
        """Depth of one image, float32 H x W on the CPU, at the image's own size.

        image: a PIL image, or an H x W x 3 uint8 array or tensor, RGB.
        input_size: pixels of the shorter side as the network sees it, at least; larger is finer and slower.
        Resized as by the authors (`infer_image` of `depth_anything_v2/dpt.py`); no gradients are recorded.
        TypeError or ValueError, saying what to pass, for anything that is not an RGB image of 8 bits.
        """
        from .image import rgb_tensor
        from .preprocess import fit, normalised_pixels, resized_depth

        rgb = rgb_tensor(image)
        size = (rgb.shape[0], rgb.shape[1])
        device = self.patch_embed.proj.weight.device
        with torch.inference_mode():
            pixels = normalised_pixels(rgb, fit(size, input_size, self.config.patch_size))
            depth = resized_depth(self(pixels.to(device)), size)
        # A copy made outside is an ordinary tensor: one of inference mode refuses `depth -= depth.min()`.
        return depth.to("cpu", copy=True)
