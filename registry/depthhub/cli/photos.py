"""Photographs: which are meant, where their depth goes, and reading them upright."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import NotFoundError
from .errors import MissingExtraError, PictureError, UsageError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""What counts as a photograph in a folder; a file that is named itself may have any suffix."""


class Job(NamedTuple):
    photo: Path
    output: Path


def plan(images: Iterable[Path], out: Path, *, suffix: str, replace: bool = False) -> list[Job]:
    """Which photograph goes to which file: one file to the file `out`, anything else into the folder `out`.

    replace: an output may take the place of a file that is there. Raises NotFoundError for a path that is not there,
    UsageError for one that is neither file nor folder, and where an output would replace a photograph, another output,
    or what is there and may not be replaced.
    """
    images = tuple(images)
    photos = list(dict.fromkeys(photo for image in images for photo in _photos_of(image)))
    if len(images) == 1 and images[0].is_file() and not out.is_dir():
        jobs = [Job(photos[0], out)]
    else:
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file; several photographs need a folder to put their depth in.")
        jobs = [Job(photo, out / name) for photo, name in zip(photos, _names(photos, suffix), strict=True)]
    _refuse_to_lose_files(jobs, replace=replace)
    return jobs


def open_photo(path: Path) -> Image.Image:
    """The picture at `path` as RGB, turned upright by its EXIF orientation. Raises PictureError."""
    require_pillow()
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            mode = image.mode
            photo = ImageOps.exif_transpose(image).convert("RGB")
    except Image.DecompressionBombError as error:
        raise PictureError(f"{path}: too many pixels for a photograph ({error}).", path=path) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for damaged files of many kinds
        raise PictureError(f"{path} cannot be read as a picture: {_reason(error)}.", path=path) from error
    if mode.startswith(("I", "F")):  # Pillow cuts them off at 255: a white photograph
        raise PictureError(f"{path} has more than 8 bits a colour: a depth map? Convert it to 8 bits first.", path=path)
    return photo


def require_pillow() -> None:
    """Raises MissingExtraError where Pillow or NumPy is not installed."""
    try:
        import numpy  # noqa: F401
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Pictures need Pillow and NumPy, and {error.name} is not installed: pip install 'depthhub[predict]'",
            extra="predict",
        ) from error


def _photos_of(image: Path) -> Sequence[Path]:
    if not image.is_dir():
        if not image.exists():
            raise NotFoundError(f"There is no file or folder {image}.", source=str(image))
        if not image.is_file():  # to open a pipe is to wait for its writer, maybe for ever
            raise UsageError(f"{image} is neither a file nor a folder; a photograph is a file.")
        return [image]
    photos = sorted(
        path
        for path in image.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not photos:
        raise NotFoundError(f"{image} holds no pictures ({', '.join(SUFFIXES)}).", source=str(image))
    return photos


def _names(photos: Sequence[Path], suffix: str) -> list[str]:
    """`house.jpg` becomes `house.png`; where that would be two photographs' name, `house.jpg.png`."""
    stems = Counter(photo.stem.casefold() for photo in photos)
    return [f"{photo.stem if stems[photo.stem.casefold()] == 1 else photo.name}{suffix}" for photo in photos]


def _refuse_to_lose_files(jobs: Sequence[Job], *, replace: bool) -> None:
    photos = {job.photo.resolve() for job in jobs}
    taken: dict[str, Path] = {}
    for photo, output in jobs:
        if output.resolve() in photos:
            raise UsageError(f"{output} is one of the photographs; choose another place for the depth of {photo}.")
        other = taken.setdefault(str(output).casefold(), photo)
        if other is not photo:
            raise UsageError(f"The depth of {other} and of {photo} would both become {output}; run them apart.")
        if not os.path.lexists(output):
            continue
        if output.exists() and not output.is_file():
            raise UsageError(f"{output} is there and is no file; choose another place for the depth of {photo}.")
        if not replace:
            raise UsageError(f"{output} is there already; --force replaces it, or choose another place with --out.")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "its format is not known" if type(error).__name__ == "UnidentifiedImageError" else str(error) or "damaged"
