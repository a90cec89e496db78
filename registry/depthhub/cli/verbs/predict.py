"""`depthhub predict`: depth pictures of photographs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DepthHubError
from ...whole_file import sweep_folder
from ..console import Console, error_json
from ..depth_files import Kind, Scale, Unit, write_depth
from ..errors import PictureError, UsageError
from ..exit_codes import ExitCode, common_exit_code
from ..options import SOURCE_HELP, add_refresh_option, add_source_options, path_of, source_options
from ..output import write_json
from ..photos import SUFFIXES, Job, open_photo, plan, require_pillow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL import Image

    from ...depth_model import DepthModel

_EXPLANATION = """\
Near is bright and warm, for every model: relative inverse depth grows towards the camera and is shown as it is;
metric depth grows away from it and is turned round for the picture. Each picture spans its own nearest and farthest
point. --raw writes the model's own numbers instead: a 16-bit PNG (metric: millimetres, cut off at 65.535 m; relative:
stretched from minimum to maximum, the scale is in the PNG's text chunk `depthhub` and in --json), or .npy (float32).
"""

_MOST_PIXELS = 64_000_000
"""What the model is shown at most. A photograph of 4000 x 1 pixels, say, would be resized to 2072000 x 518."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One photograph done. minimum, maximum: of the depth, in `unit`. scale: of a 16-bit PNG."""

    image: Path
    output: Path
    kind: Kind
    width: int
    height: int
    unit: Unit
    minimum: float
    maximum: float
    scale: Scale | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXPLANATION
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", type=path_of, help="a photograph, or a folder of photographs"
    )
    parser.add_argument("-m", "--model", required=True, metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        type=path_of,
        help="a file for one photograph, a folder for several or for a folder",
    )
    parser.add_argument("--force", action="store_true", help="replace depth files that are there")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--side-by-side", action="store_true", help="the photograph at the left of its depth")
    what.add_argument("--raw", action="store_true", help="the model's numbers, as 16-bit PNG or .npy")
    parser.add_argument(
        "--format", choices=("png", "npy"), help="of the files; npy is always raw (default: by OUT's suffix, else png)"
    )
    parser.add_argument(
        "--input-size",
        type=_pixels,
        default=518,
        metavar="PIXELS",
        help="shorter side that the model sees (default 518)",
    )
    parser.add_argument("--device", default="cpu", help="where the model runs: cpu, cuda, mps (default cpu)")
    add_source_options(parser)
    add_refresh_option(parser)


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    kind = _kind(args)
    require_pillow()
    jobs = plan(args.images, args.out, suffix=".npy" if kind == "npy" else ".png", replace=args.force)
    device = _device(args.device)
    import depthhub

    with console.progress() as bar:
        model = depthhub.from_pretrained(
            args.model, device=device, refresh=args.refresh, progress=bar.report, **source_options(args)
        )
        results, code = _predict_all(model, jobs, kind, args.input_size, console, replace=args.force)
    if args.json:
        write_json(results)
    else:
        for result in results:
            if isinstance(result, Prediction):
                print(result.output)
    _explain(results, console)
    return code


def _predict_all(
    model: DepthModel, jobs: Sequence[Job], kind: Kind, input_size: int, console: Console, *, replace: bool
) -> tuple[list[Prediction | dict[str, Any]], ExitCode]:
    """Every photograph, one after the other. One that fails is reported and the others go on."""
    results: list[Prediction | dict[str, Any]] = []
    codes = [ExitCode.DONE]
    for folder in {job.output.parent for job in jobs}:
        sweep_folder(folder)
    with console.progress() as bar:
        for done, job in enumerate(jobs):
            bar.count(done, len(jobs), job.photo.name)
            try:
                results.append(_predict(model, job, kind, input_size, replace=replace))
            except (DepthHubError, OSError) as error:
                failure: Exception = error
            except (MemoryError, RuntimeError) as error:  # torch tells of memory that it does not get in both ways
                failure = _failure_of(job.photo, error)
            else:
                continue
            codes.append(console.failure(failure))
            results.append({"image": job.photo, "error": error_json(failure)})
    return results, common_exit_code(codes)


def _failure_of(photo: Path, error: MemoryError | RuntimeError) -> PictureError:
    reason = str(error).partition("\n")[0] or "not enough memory"
    failure = PictureError(
        f"{photo}: the model failed on this picture: {reason}. A lower --input-size needs less memory.", path=photo
    )
    failure.__cause__ = error  # what --verbose shows
    return failure


def _predict(model: DepthModel, job: Job, kind: Kind, input_size: int, *, replace: bool) -> Prediction:
    import numpy as np

    photo = open_photo(job.photo)
    depth = _infer(model, photo, input_size, path=job.photo)
    if not np.isfinite(depth).all():
        raise PictureError(
            f"{job.photo}: the model answered with values that are not numbers; try --dtype float32.", path=job.photo
        )
    is_metric = model.config.is_metric
    try:
        scale = write_depth(job.output, depth, photo=photo, kind=kind, is_metric=is_metric, replace=replace)
    except FileExistsError as error:
        raise UsageError(f"{job.output} appeared meanwhile; --force replaces it.") from error
    return Prediction(
        image=job.photo,
        output=job.output,
        kind=kind,
        width=photo.width,
        height=photo.height,
        unit="metre" if is_metric else "relative inverse depth",
        minimum=float(depth.min()),
        maximum=float(depth.max()),
        scale=scale,
    )


def _infer(model: DepthModel, photo: Image.Image, input_size: int, *, path: Path) -> npt.NDArray[np.float32]:
    """The depth of `photo`, H x W. Raises PictureError where it is too large."""
    from ...model.preprocess import fit

    height, width = fit((photo.height, photo.width), input_size, model.config.patch_size)
    if height * width > _MOST_PIXELS:
        raise PictureError(
            f"{path} is {photo.width} x {photo.height}: with a shorter side of {input_size} pixels the model would see "
            f"{width} x {height}, more than {_MOST_PIXELS // 1_000_000} megapixels. Crop it, or lower --input-size.",
            path=path,
        )
    return model.infer(photo, input_size=input_size).cpu().numpy()


def _kind(args: argparse.Namespace) -> Kind:
    """What to write, from --raw, --side-by-side, --format and the suffix of OUT."""
    written = args.out.suffix.lower() if not args.out.is_dir() else ""
    suffix = f".{args.format}" if args.format else written if written == ".npy" else ".png"
    alone = len(args.images) == 1 and not args.images[0].is_dir() and not args.out.is_dir()
    if alone and written != suffix:
        raise UsageError(f"{args.out} should end in {suffix}, or be a folder that exists.")
    if not alone and written in (".png", ".npy", *SUFFIXES):
        raise UsageError(f"{args.out} looks like a file; several photographs need a folder for their depth.")
    if suffix == ".npy":
        if args.side_by_side:
            raise UsageError("--side-by-side is a picture, and .npy holds none; write a .png.")
        return "npy"
    if args.raw:
        return "png16"
    return "side-by-side" if args.side_by_side else "colour"


def _pixels(text: str) -> int:
    pixels = int(text)
    if pixels < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of pixels, 1 or more")
    return pixels


def _device(name: str) -> torch.device:
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"--device {name} cannot be used here: {reason}") from error
    return device


def _explain(results: Sequence[Prediction | dict[str, Any]], console: Console) -> None:
    """What the numbers of 16-bit PNGs mean: a file that is read without its scale is misread."""
    for result in results:
        if isinstance(result, Prediction) and result.scale is not None:
            console.note(f"{result.output}: {result.scale}")
