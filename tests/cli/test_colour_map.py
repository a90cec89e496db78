"""Near is bright and warm, and equal steps of depth look equally large."""

import numpy as np
import pytest

from depthhub.cli.colour_map import ANCHORS, coloured

RAMP = np.linspace(0, 7, 256, dtype=np.float32)[None]


def lightness(rgb):
    """OKLab lightness of sRGB (Ottosson 2020)."""
    c = rgb.astype(np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    cone = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    return np.cbrt(linear @ cone.T) @ np.array([0.2104542553, 0.7936177850, -0.0040720468])


def test_near_is_bright_for_relative_inverse_depth():
    light = lightness(coloured(RAMP, is_metric=False)[0])
    assert light[-1] > light[0]


def test_near_is_bright_for_metres():
    light = lightness(coloured(RAMP, is_metric=True)[0])
    assert light[0] > light[-1]


def test_near_is_warm():
    far, near = ANCHORS[0], ANCHORS[-1]
    assert far[2] > far[0]
    assert near[0] > near[2]


def test_equal_steps_of_depth_are_equal_steps_of_lightness():
    light = lightness(coloured(RAMP, is_metric=False)[0])
    steps = np.diff(light[::15])
    assert steps.min() > 0.8 * steps.mean()
    assert steps.max() < 1.2 * steps.mean()


@pytest.mark.parametrize("is_metric", [False, True])
def test_a_flat_wall_is_one_colour(is_metric):
    picture = coloured(np.full((3, 4), 2.5, np.float32), is_metric=is_metric)
    assert picture.shape == (3, 4, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
