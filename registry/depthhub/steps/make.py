"""From a verified checkpoint to a published entry: read, infer, convert, write, publish."""

from __future__ import annotations

import logging
import platform
from importlib.metadata import version
from typing import Any

from depthhub_cache.entry import Entry
from depthhub_cache.identity import make_key
from depthhub_cache.staging import Staging
from depthhub_cache.store import Store

from ..checkpoint.convert import Converted, convert
from ..checkpoint.converted import write_converted
from ..checkpoint.reading import read_checkpoint
from ..checkpoint.recipe import Recipe
from ..errors import MismatchError
from ..progress import Progress
from .located import Located
from .obtain import Obtained
from .request import Request

log = logging.getLogger("depthhub")

WEIGHTS = "weights.safetensors"


def make(
    obtained: Obtained, located: Located, recipe: Recipe, request: Request, store: Store, staging: Staging
) -> Entry:
    """Convert `obtained` into `staging` and publish it. Another process that was faster is adopted."""
    request.report(Progress(located.source, "converting", 0, located.size))
    checkpoint = read_checkpoint(obtained.path)
    converted = convert(checkpoint, recipe)
    _check_encoder(converted, obtained, located)
    for decision in checkpoint.decisions:
        log.info("%s: %s", located.source, decision)
    log.info("inferred from %d tensors: %s", len(checkpoint.tensors), converted.config.summary())
    with staging.file(WEIGHTS) as staged:
        write_converted(
            staged.write,
            converted,
            content_hash=obtained.content_hash,
            progress=lambda done, total: request.report(Progress(located.source, "converting", done, total)),
        )
    key = make_key(obtained.content_hash, recipe.to_json())
    about = _about(obtained, located, recipe, checkpoint.decisions)
    entry = store.publish(key, staging, weights=WEIGHTS, about=about)
    log.info("converted and published %s bytes as entry %.12s", f"{entry.record.weights_size:,}", key)
    return entry


def _check_encoder(converted: Converted, obtained: Obtained, located: Located) -> None:
    """Asked for vitl and found vitb: the names of the catalog promise a size."""
    entry, found = located.entry, converted.config.encoder
    if entry is None or entry.encoder is None or entry.encoder == found:
        return
    size = found or f"width {converted.config.width}, {converted.config.blocks} blocks"
    raise MismatchError(
        f"{located.source} should be {entry.encoder} ({entry.name}), but the file holds {size}. "
        "Ask for the name that fits the file, or give the file's own path with its family.",
        path=obtained.path,
        expected=entry.encoder,
        found=size,
    )


def _about(obtained: Obtained, located: Located, recipe: Recipe, decisions: tuple[str, ...]) -> dict[str, Any]:
    """Where the weights came from, for the entry's record; `Provenance` reads it back."""
    entry = located.entry
    return {
        "source": located.source,
        "name": entry.name if entry else None,
        "repo_id": getattr(located, "repo_id", None),
        "repo_type": getattr(located, "repo_type", None),
        "filename": located.filename,
        "commit": obtained.commit,
        "content_hash": obtained.content_hash,
        "checkpoint_bytes": obtained.path.stat().st_size,
        "licence": entry.licence if entry else None,
        "recipe": recipe.to_json(),
        "decisions": list(decisions),
        "versions": {
            "depthhub": version("depthhub"),
            "torch": version("torch"),
            "safetensors": version("safetensors"),
            "python": platform.python_version(),
        },
    }
