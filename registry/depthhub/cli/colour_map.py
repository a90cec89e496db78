"""Colours for depth: dark indigo through red and orange to pale yellow, near things bright and warm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ANCHORS = (
    (5, 3, 59),
    (37, 6, 83),
    (72, 10, 100),
    (110, 16, 107),
    (149, 22, 104),
    (188, 30, 92),
    (228, 38, 64),
    (245, 89, 35),
    (249, 136, 43),
    (250, 175, 76),
    (252, 209, 111),
    (254, 242, 149),
)
"""sRGB, far to near, evenly spaced: OKLCH lightness rises in equal steps from 0.17 to 0.95 while the hue turns from
270 to 462 degrees, so equal steps in depth look equally large, in grey too."""


def coloured(depth: npt.NDArray[np.float32], *, is_metric: bool) -> npt.NDArray[np.uint8]:
    """H x W depth -> H x W x 3 sRGB; the picture's own nearest and farthest point take the ends of the map.

    Relative inverse depth grows towards the camera, metres grow away from it (`is_metric`): near is bright in both.
    """
    import numpy as np

    low, high = float(depth.min()), float(depth.max())
    share = (depth - low) / (high - low) if high > low else np.zeros_like(depth)
    nearness = 1 - share if is_metric else share
    steps = np.linspace(0, 1, len(ANCHORS))
    channels = [np.interp(nearness, steps, values) for values in zip(*ANCHORS, strict=True)]
    picture: npt.NDArray[np.uint8] = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return picture
