"""What a caller may call an image, and the one form that it has inside.

Pillow and NumPy are no dependencies: their images and arrays are known by what they can do.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class PilImage(Protocol):
    """What is used of a PIL image."""

    @property
    def mode(self) -> str: ...

    def convert(self, mode: str) -> Any: ...


@runtime_checkable
class Array(Protocol):
    """What is used of a NumPy array."""

    @property
    def dtype(self) -> Any: ...

    @property
    def shape(self) -> Any: ...

    def tobytes(self) -> bytes: ...


Image = PilImage | Array | Tensor
"""What `infer` takes: a PIL image, or H x W x 3 uint8 RGB as array or tensor."""


def rgb_tensor(image: Image) -> Tensor:
    """The image as H x W x 3 uint8 on the CPU. TypeError or ValueError says what to pass instead."""
    if isinstance(image, Tensor):
        _check(image.dtype, tuple(image.shape))
        return image.detach().cpu()
    if isinstance(image, PilImage):
        return _from_pil(image)
    if isinstance(image, Array):
        shape = tuple(image.shape)
        _check(image.dtype, shape)
        return _from_bytes(image.tobytes(), shape)
    raise TypeError(
        "an image is a PIL image, or an H x W x 3 uint8 array or tensor in RGB order; "
        f"got {type(image).__module__}.{type(image).__qualname__}. Open a file with PIL.Image.open(path)."
    )


def _from_pil(image: PilImage) -> Tensor:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise ValueError(
            f"a PIL image of mode {image.mode!r} has more than 8 bits a channel, which converting would clip. "
            "Scale its values to 0..255 first, and pass it as mode 'L' or 'RGB'."
        )
    rgb = image.convert("RGB")
    width, height = rgb.size
    return _from_bytes(rgb.tobytes(), (height, width, 3))


def _from_bytes(data: bytes, shape: tuple[int, ...]) -> Tensor:
    # tobytes() is C order whatever the strides, and a bytearray is writable, as torch wants its buffers.
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(shape)


def _check(dtype: Any, shape: tuple[int, ...]) -> None:
    found = f"{' x '.join(map(str, shape)) or 'a scalar'} of {dtype}"
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"an image array is H x W x 3, RGB; got {found}. {_advice(shape)}")
    if not shape[0] or not shape[1]:
        raise ValueError(f"the image has no pixels: {found}")
    if str(dtype) not in ("uint8", "torch.uint8"):
        raise TypeError(
            f"an image array is uint8, 0 to 255; got {found}. Scale it to 0..255, round, and convert it to uint8. "
            "Pixels that are normalised already go to model(pixels) as B x 3 x H x W."
        )


def _advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return "Repeat a grey image into three channels: image[..., None].repeat(3, axis=2)."
    if len(shape) == 3 and shape[2] == 4:
        return "Drop the alpha channel: image[..., :3]."
    if len(shape) == 3 and shape[2] == 1:
        return "Repeat a grey image into three channels: image.repeat(3, axis=2) or tensor.expand(-1, -1, 3)."
    if len(shape) == 3 and shape[0] == 3:
        return "Put the channels last: array.transpose(1, 2, 0) or tensor.permute(1, 2, 0)."
    if len(shape) == 4:
        return "Pass one image at a time, or a normalised batch to model(pixels)."
    return "A PIL image is fine too."
