"""What a name of the catalog and a config.json promise of a file, held against what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MismatchError
from ..model.config import METRIC, Build, ModelConfig
from .decide import warn
from .located import Located
from .request import Request
from .stated import Stated

if TYPE_CHECKING:
    from ..checkpoint.shapes import Sizes


def require_promised(found: ModelConfig, layout: str | None, located: Located, request: Request, path: Path) -> None:
    """Raises MismatchError where a name or a config.json that had a say is that of another file.

    layout: of the checkpoint; None where nothing tells it.
    """
    _require_encoder(found, located, path)
    _require_described(found, layout, located, request, path)


def _require_encoder(found: ModelConfig, located: Located, path: Path) -> None:
    """Asked for vitl and found vitb: the names of the catalog promise a size."""
    entry = located.entry
    if entry is None or entry.encoder is None or entry.encoder == found.encoder:
        return
    size = found.encoder or f"width {found.width}, {found.blocks} blocks"
    raise MismatchError(
        f"{located.source} should be {entry.encoder} ({entry.name}), but the file holds {size}. "
        "Ask for the name that fits the file, or give the file's own path with its family.",
        path=path,
        expected=entry.encoder,
        found=size,
    )


def _require_described(found: ModelConfig, layout: str | None, located: Located, request: Request, path: Path) -> None:
    """A config.json decides only for the file that it describes: of its layout, and of its size."""
    stated = located.stated
    if stated is None or (problem := misdescription(stated, found, layout)) is None:
        return
    if not _is_as_the_caller_says(found, request):
        raise MismatchError(
            f"{located.source}: the config.json beside it is of another file: {problem}. Say family= yourself, and "
            "max_depth= where it is v2-metric.",
            path=path,
            expected="the model of config.json",
            found=found.summary(),
        )
    if stated.build and (stated.build.family, stated.build.max_depth) == (found.family, found.max_depth):
        warn(f"{located.source}: built as you say; the config.json beside it is of another file: {problem}.")


def misdescription(stated: Stated, found: ModelConfig | Sizes, layout: str | None) -> str | None:
    """Why a config.json cannot be that of the file beside it, as a clause; None where it can, or is none."""
    if stated.build is None or stated.config is None:
        return None
    is_port = stated.config.get("model_type") is not None
    if layout is not None and is_port != (layout == "transformers"):
        return f"the file is of the {layout} layout"
    from ..checkpoint.hints import contradiction  # most files have no config.json

    return contradiction(stated.config, found)


def _is_as_the_caller_says(found: ModelConfig, request: Request) -> bool:
    """Whether the caller's words alone make this model."""
    if request.family is None or (request.family == METRIC and request.max_depth is None):
        return False
    said = Build(request.family, request.max_depth)
    return (found.family, found.max_depth, found.taps) == (said.family, said.max_depth, said.taps_for(found.blocks))
