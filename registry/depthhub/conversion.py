"""A checkpoint file to a converted file, outside of any cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from depthhub_cache.identity import make_key

from .catalog import Catalog
from .checkpoint.containers import OpenCheckpoint
from .errors import OptionError
from .model.config import ModelConfig
from .progress import Progress, Report
from .steps.decide import decide
from .steps.digest import require_content, require_unchanged
from .steps.licence import require_licence
from .steps.local_file import locate_local
from .steps.locked import require_locked_weights
from .steps.request import Request
from .whole_file import whole_file

if TYPE_CHECKING:
    import torch


def convert_file(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    family: str | None = None,
    max_depth: float | None = None,
    dtype: torch.dtype | str | None = None,
    replace: bool = False,
    progress: Report | None = None,
) -> ModelConfig:
    """Write the converted form of the checkpoint at `path` to `out`: the very bytes that the cache would hold.

    `out` is whole or absent. Loads like any checkpoint (`from_pretrained(out)`), and knows its own family. Raises what
    `from_pretrained` raises, and FileExistsError where `out` is there and is not to be replaced.
    """
    from .checkpoint.convert import convert
    from .checkpoint.converted import write_converted
    from .checkpoint.reading import read_checkpoint
    from .steps.make import require_own_words
    from .steps.promised import require_promised

    request = Request.parse(Path(path), family=family, max_depth=max_depth, dtype=dtype, progress=progress)
    catalog = Catalog.known(request.settings.catalog)
    located = locate_local(Path(path), request, None, catalog)
    require_licence(located, located.content_hash, request)
    recipe = decide(request, located, located.content_hash)
    key = make_key(located.content_hash, recipe.to_json())
    if request.lock is not None:
        request.lock.require(key, located.content_hash, request.source, catalog)
    out = Path(out).expanduser().absolute()
    if out.exists() and out.samefile(located.file):
        raise OptionError(f"{out} is the checkpoint itself. Name another file to write.", option="out", value=out)
    with OpenCheckpoint(located.file) as opened:
        require_unchanged(opened, located.settled.fingerprint)
        checkpoint = read_checkpoint(opened)
        converted = convert(checkpoint, recipe)
        require_promised(converted.config, checkpoint.layout, located, request, located.file)
        require_own_words(opened, checkpoint, converted, located.source)
        with whole_file(out, replace=replace) as staged:
            write_converted(
                staged.write,
                converted,
                content_hash=located.content_hash,
                progress=lambda done, total: request.report(Progress(located.source, "converting", done, total)),
            )
            if request.lock is not None:
                require_locked_weights(request.lock, key, staged.sha256(), request, "the conversion")
            require_unchanged(opened, located.settled.fingerprint)
            if not located.settled.shows:
                require_content(opened, located.content_hash, located.source, request.report)  # what was written
    return converted.config
