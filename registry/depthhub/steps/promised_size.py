"""The size that a name of the catalog promises, held against what was found."""

from __future__ import annotations

from pathlib import Path

from ..errors import MismatchError
from ..model.config import ModelConfig
from .located import Located


def require_encoder(config: ModelConfig, located: Located, path: Path) -> None:
    """Asked for vitl and found vitb: the names of the catalog promise a size. Raises MismatchError."""
    entry, found = located.entry, config.encoder
    if entry is None or entry.encoder is None or entry.encoder == found:
        return
    size = found or f"width {config.width}, {config.blocks} blocks"
    raise MismatchError(
        f"{located.source} should be {entry.encoder} ({entry.name}), but the file holds {size}. "
        "Ask for the name that fits the file, or give the file's own path with its family.",
        path=path,
        expected=entry.encoder,
        found=size,
    )
