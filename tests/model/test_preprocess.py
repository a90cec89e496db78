"""The network's input equals the authors', which OpenCV made.

`data/authors-infer.safetensors` was made by the authors' own code (DepthAnything/Depth-Anything-V2, `util/transform.py`
and `infer_image`) with opencv-python-headless 4.10 (5.0 gives the same) and torch 2.13:

    image              np.random.RandomState(1000 * h + w).randint(0, 256, (h, w, 3), dtype=np.uint8), RGB
    pixels/HxW/S       of image / 255.0: Resize to S (keep aspect, lower bound, multiples of 14, INTER_CUBIC),
                       NormalizeImage, PrepareForNet
    depth/NAME/HxW/S   infer_image(image, S) of the golden model NAME

`data/authors-sizes.json` lists height, width, S and what `Resize.get_size` answered: height, width.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from depthhub.model.bicubic import resize_bicubic
from depthhub.model.preprocess import fit, normalised_pixels

DATA = Path(__file__).parent / "data"
AUTHORS = DATA / "authors-infer.safetensors"


def image_of(height: int, width: int) -> np.ndarray:
    random = np.random.RandomState(1000 * height + width)
    return random.randint(0, 256, (height, width, 3), dtype=np.uint8)


def authors_answers(kind: str) -> dict[str, Tensor]:
    """`pixels` or `depth`: the rest of the name -> the authors' answer."""
    with safe_open(AUTHORS, "pt") as file:
        return {key.split("/", 1)[1]: file.get_tensor(key) for key in file.keys() if key.startswith(kind)}  # noqa: SIM118


def size_of(text: str) -> tuple[int, int]:
    height, width = map(int, text.split("x"))
    return height, width


@pytest.mark.parametrize("name", authors_answers("pixels"))
def test_the_input_equals_the_authors(name: str) -> None:
    expected = authors_answers("pixels")[name]
    size, input_size = name.split("/")
    image = torch.from_numpy(image_of(*size_of(size)))
    found = normalised_pixels(image, fit(size_of(size), int(input_size), 14))
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-5)


def test_the_size_equals_the_authors() -> None:
    cases = json.loads((DATA / "authors-sizes.json").read_text())
    wrong = [case for case in cases if fit((case[0], case[1]), case[2], 14) != (case[3], case[4])]
    assert wrong == []


@pytest.mark.parametrize("input_size", [0, -14])
def test_an_input_size_without_pixels_is_refused(input_size: int) -> None:
    with pytest.raises(ValueError, match=r"input_size .* 1 or more; got"):
        fit((480, 640), input_size, 14)


def test_resizing_to_the_same_size_changes_nothing() -> None:
    image = torch.from_numpy(image_of(20, 31))
    assert torch.equal(resize_bicubic(image, (20, 31)), image.permute(2, 0, 1).float())
