"""The root of the one family of errors, and the errors of the store itself.

    DepthHubError
    ├── CacheError (OSError)
    │   ├── CacheNotWritableError
    │   │   └── NoSpaceError
    │   ├── BrokenEntryError
    │   └── BundleError
    ├── RemoteError (ConnectionError)
    │   ├── RemoteDamageError
    │   └── RemoteSetupError
    └── ... the rest is drawn in depthhub/errors.py

The root lives in the lowest room, so that a caller catches every error of ours with one class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def _rebuild(cls: type[DepthHubError], args: tuple[Any, ...], state: dict[str, Any]) -> DepthHubError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class DepthHubError(Exception):
    """Any error that depthhub raises on purpose.

    The message says what was asked, what was found and what to do next; the same facts are attributes.
    Every member survives pickling with its attributes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))

    def __str__(self) -> str:  # KeyError and OSError would otherwise format the message in their own way
        return str(self.args[0]) if self.args else type(self).__name__


class CacheError(DepthHubError, OSError):
    """The cache could not do what was asked. `path` is where."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(message)
        self.path = path


class CacheNotWritableError(CacheError):
    """A needed write is impossible: read-only, no permission, no such parent, or no space (`free`: bytes left)."""

    def __init__(self, message: str, *, path: Path, free: int | None = None) -> None:
        super().__init__(message, path=path)
        self.free = free


class NoSpaceError(CacheNotWritableError):
    """There is not room enough, seen before anything was written. Bytes: `needed`, `free`, `missing`, `reclaimable`."""

    def __init__(self, message: str, *, path: Path, free: int, needed: int, reclaimable: int) -> None:
        super().__init__(message, path=path, free=free)
        self.needed = needed
        self.missing = needed - free
        self.reclaimable = reclaimable


class BrokenEntryError(CacheError):
    """An entry is there but not as it was published. `reason`: what is wrong with it, in words."""

    def __init__(self, message: str, *, path: Path, reason: str | None = None) -> None:
        super().__init__(message, path=path)
        self.reason = reason or message


class BundleError(CacheError):
    """A file that is no sound bundle of entries. `path` is the file, `member` the part of it that is wrong."""

    def __init__(self, message: str, *, path: Path, member: str | None = None) -> None:
        super().__init__(message, path=path)
        self.member = member


class RemoteError(DepthHubError, ConnectionError):
    """A remote store of entries is out of reach, refuses, takes too long, or gives wrong bytes.

    `url`: where, without any secret. `key`: of the entry that was asked about. `reason`: what is wrong, in words.
    """

    def __init__(self, message: str, *, url: str, key: str | None, reason: str) -> None:
        super().__init__(message)
        self.url = url
        self.key = key
        self.reason = reason


class RemoteDamageError(RemoteError):
    """It has bytes that are not what they should be. Another try does not mend that."""


class RemoteSetupError(RemoteError):
    """Its address cannot be used as it is: nobody knows the protocol, a package is missing, or it can only be read."""
