"""Mistakes that only a command line can make.

DepthHubError
├── UsageError (ValueError)           options that do not go together, or a setting that is not usable
├── PictureError (ValueError)         a file that is not a picture, or whose depth cannot be shown; `path`
└── MissingExtraError (ImportError)   an optional package is not installed; `extra`
"""

from __future__ import annotations

from pathlib import Path

from ..errors import DepthHubError


class UsageError(DepthHubError, ValueError):
    """Options that do not go together, or a setting that is not usable."""


class PictureError(DepthHubError, ValueError):
    """A file that is not a picture, or whose depth cannot be shown. `path` is the picture."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(message)
        self.path = path


class MissingExtraError(DepthHubError, ImportError):
    """An optional package is needed and not installed. `extra` installs it."""

    def __init__(self, message: str, *, extra: str) -> None:
        super().__init__(message)
        self.extra = extra
