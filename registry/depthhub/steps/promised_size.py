"""The size that a name of the catalog or a config.json promises, held against what was found."""

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


def require_size_of_config(config: ModelConfig, located: Located, path: Path) -> None:
    """A config.json decides only for a file of the size that it describes. Raises MismatchError."""
    stated = located.stated
    if stated is None or stated.build is None or stated.config is None:
        return
    from ..checkpoint.hints import contradiction  # most files have none

    if problem := contradiction(stated.config, config):
        raise of_another_file(problem, config, located, path)


def of_another_file(problem: str, config: ModelConfig, located: Located, path: Path) -> MismatchError:
    """The error for a config.json that does not describe the file beside it."""
    return MismatchError(
        f"{located.source}: the config.json beside it is of another file: {problem}. Take it away, and say family= "
        "yourself.",
        path=path,
        expected="the model of config.json",
        found=config.summary(),
    )
