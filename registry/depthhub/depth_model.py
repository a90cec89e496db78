"""The model that a caller gets: the network, and where its weights came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .model.config import ModelConfig
from .model.dpt import DPT
from .provenance import Provenance

if TYPE_CHECKING:
    from .steps.request import SourceLike


class DepthModel(DPT):
    """A Depth-Anything model in eval mode.

    `model.infer(image)` takes a PIL image or H x W x 3 uint8 (RGB) and gives float32 H x W; `model(pixels)` takes
    normalised B x 3 x H x W with sides that are multiples of the patch size and gives B x H x W. Metric models answer
    in metres (far is large), the others in relative inverse depth (near is large): `model.config.is_metric`.
    """

    provenance: Provenance

    def __init__(self, config: ModelConfig, provenance: Provenance) -> None:
        super().__init__(config)
        self.provenance = provenance

    @classmethod
    def from_pretrained(cls, source: SourceLike, **options: Any) -> DepthModel:
        """The same as `depthhub.from_pretrained`, which lists the options."""
        from .loading import from_pretrained

        return from_pretrained(source, **options)
