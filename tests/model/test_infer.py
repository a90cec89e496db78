"""From an image to its depth: what is taken, what is refused, what comes back."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from depthhub.model.dpt import DPT

from .golden_models import golden_model
from .test_preprocess import authors_answers, image_of, size_of

IMAGE = image_of(45, 70)


@pytest.fixture(scope="session")
def expected(tiny_model: DPT) -> Tensor:
    return tiny_model.infer(IMAGE, input_size=140)


@pytest.mark.parametrize("name", authors_answers("depth"))
def test_the_depth_of_an_image_equals_the_authors(name: str) -> None:
    answer = authors_answers("depth")[name]
    model, size, input_size = name.split("/")
    depth = golden_model(model).infer(image_of(*size_of(size)), input_size=int(input_size))
    assert depth.shape == answer.shape
    assert (depth - answer).abs().max() <= 1e-4 * answer.std()


def test_array_tensor_and_pil_image_are_the_same_image(tiny_model: DPT, expected: Tensor) -> None:
    rgba = Image.fromarray(np.dstack((IMAGE, np.full((45, 70), 9, np.uint8))), "RGBA")
    for image in (torch.from_numpy(IMAGE), Image.fromarray(IMAGE), rgba):
        assert torch.equal(tiny_model.infer(image, input_size=140), expected)


def test_a_grey_or_palette_pil_image_becomes_rgb(tiny_model: DPT) -> None:
    grey = Image.fromarray(IMAGE[..., 0])
    same = np.repeat(IMAGE[..., :1], 3, axis=2)
    assert torch.equal(tiny_model.infer(grey, input_size=140), tiny_model.infer(same, input_size=140))
    palette = Image.fromarray(IMAGE).quantize(16)
    assert tiny_model.infer(palette, input_size=140).shape == (45, 70)


def test_strided_and_read_only_arrays_are_taken_without_a_warning(tiny_model: DPT, expected: Tensor) -> None:
    read_only = IMAGE.copy()
    read_only.flags.writeable = False
    backwards = IMAGE[::-1, :, ::-1].copy()[::-1, :, ::-1]  # negative strides, which torch does not have
    wide = np.zeros((45, 140, 4), np.uint8)
    wide[:, ::2, :3] = IMAGE
    columns_first = np.asfortranarray(IMAGE)
    channels_first = torch.from_numpy(IMAGE.transpose(2, 0, 1).copy()).permute(1, 2, 0)
    torch.set_warn_always(True)  # or torch tells of a read-only buffer once in a process, and not here
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for image in (read_only, backwards, wide[:, ::2, :3], columns_first, channels_first):
                assert torch.equal(tiny_model.infer(image, input_size=140), expected)
    finally:
        torch.set_warn_always(False)


def test_an_image_is_left_as_it_was(tiny_model: DPT) -> None:
    image = torch.from_numpy(IMAGE.copy())
    tiny_model.infer(image, input_size=140)
    assert torch.equal(image, torch.from_numpy(IMAGE))


def test_the_depth_is_an_ordinary_tensor(tiny_model: DPT) -> None:
    depth = tiny_model.infer(IMAGE, input_size=140)
    assert (depth.dtype, depth.device.type, depth.shape) == (torch.float32, "cpu", (45, 70))
    assert not depth.requires_grad
    depth -= depth.min()  # which a tensor of inference mode refuses
    assert depth.min() == 0


def test_a_half_precision_model_answers_in_float32(tiny_model: DPT, expected: Tensor) -> None:
    depth = copy.deepcopy(tiny_model).to(torch.bfloat16).infer(IMAGE, input_size=140)
    assert depth.dtype == torch.float32
    assert (depth - expected).abs().max() <= 0.2 * expected.std()


def test_the_default_input_is_518_pixels_on_its_shorter_side(tiny_model: DPT) -> None:
    seen = []
    hook = tiny_model.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    try:
        tiny_model.infer(IMAGE)
    finally:
        hook.remove()
    assert seen == [(1, 3, 518, 812)]


def test_defaults_of_torch_change_nothing(tiny_model: DPT, expected: Tensor) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            assert torch.equal(tiny_model.infer(IMAGE, input_size=140), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("image", "error", "says"),
    [
        (IMAGE / 255.0, TypeError, r"45 x 70 x 3 of float64\. Scale it to 0\.\.255, round"),
        (torch.zeros(45, 70, 3), TypeError, r"45 x 70 x 3 of torch\.float32"),
        (IMAGE.astype(np.int64), TypeError, r"45 x 70 x 3 of int64"),
        (IMAGE[..., 0], ValueError, r"H x W x 3, RGB; got 45 x 70 of uint8\. Repeat a grey image"),
        (IMAGE[..., :1], ValueError, r"got 45 x 70 x 1 .* Repeat a grey image"),
        (np.dstack((IMAGE, IMAGE[..., :1])), ValueError, r"got 45 x 70 x 4 .* alpha channel: image\[\.\.\., :3\]"),
        (IMAGE.transpose(2, 0, 1), ValueError, r"got 3 x 45 x 70 .* channels last"),
        (IMAGE[None], ValueError, r"got 1 x 45 x 70 x 3 .* one image at a time"),
        (IMAGE[:0], ValueError, r"no pixels: 0 x 70 x 3"),
        (Image.fromarray(IMAGE[..., 0].astype(np.float32)), ValueError, r"mode 'F' has more than 8 bits"),
        (Image.fromarray(IMAGE[..., 0].astype(np.uint16)), ValueError, r"mode 'I;16' has more than 8 bits"),
        ("photo.jpg", TypeError, r"got builtins\.str\. Open a file with PIL\.Image\.open"),
        (None, TypeError, r"got builtins\.NoneType"),
    ],
)
def test_what_is_no_rgb_image_is_refused_with_what_to_pass(
    tiny_model: DPT, image: object, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        tiny_model.infer(image)  # type: ignore[arg-type]


def test_the_model_needs_neither_numpy_nor_pillow() -> None:
    code = """
import sys
sys.modules.update(numpy=None, PIL=None)   # importing either now fails
import warnings; warnings.simplefilter("ignore")   # torch itself says that it found no NumPy
import torch
from depthhub.model.image import rgb_tensor
from depthhub.model.preprocess import fit, normalised_pixels
image = rgb_tensor(torch.zeros(30, 40, 3, dtype=torch.uint8))
assert normalised_pixels(image, fit((30, 40), 28, 14)).shape == (1, 3, 28, 42)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
