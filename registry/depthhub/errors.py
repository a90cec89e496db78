"""One family of errors. Each member is also the built-in that fits, and carries its facts as attributes.

DepthHubError
├── SettingsError (ValueError)                an environment variable that cannot be; `variable`, `value`
├── OptionError (ValueError)                  an option of a call that cannot be; `option`, `value`
├── SourceError (ValueError)                  what was written is not a source
├── UnknownModelError (LookupError)           a name that is not in the catalog; `suggestions`
├── UnsupportedModelError (ValueError)        a known name that a plain DPT cannot express; `reason`
├── CatalogError (ValueError)                 a catalog file that breaks the schema; `entry`, `field`
├── NotFoundError (FileNotFoundError)         repository, revision, file or path is not there
├── AccessError (PermissionError)             gated, private, or a token that the Hub refuses
├── OfflineError (ConnectionError)            it is not here, and the network may not be used
├── HubError (ConnectionError)                the Hub, a mirror or a proxy did not answer as a Hub does
│   └── HubTimeoutError (TimeoutError)        a limit of the settings was reached
├── IntegrityError (ValueError)               bytes that are not those that were promised
├── CheckpointError (ValueError)              the file cannot be read as a checkpoint
│   ├── UnsafeCheckpointError                 it holds more than tensors; `offending`
│   ├── UnknownKeysError                      keys that no rule knows, or that are missing
│   └── MismatchError                         it is not the model that was asked for
├── FamilyError (ValueError)                  how to build the model is not known, or contradicted
├── LicenceError (PermissionError)            the weights have a licence that may not be used here
├── LockfileError (ValueError)                a file that cannot be read as a lockfile; `field`
├── NotLockedError (PermissionError)          a lockfile is in force, and does not have what was asked
├── RemoteError (ConnectionError)             a remote store failed; see depthhub_cache/errors.py
│   ├── RemoteDamageError                     what it has is damaged, or of another entry
│   └── RemoteSetupError                      its address cannot be used
└── CacheError (OSError)                      see depthhub_cache/errors.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from depthhub_cache.errors import (
    BrokenEntryError,
    BundleError,
    CacheError,
    CacheNotWritableError,
    DepthHubError,
    NoSpaceError,
    RemoteDamageError,
    RemoteError,
    RemoteSetupError,
)

__all__ = [
    "AccessError",
    "BrokenEntryError",
    "BundleError",
    "CacheError",
    "CacheNotWritableError",
    "CatalogError",
    "CheckpointError",
    "DepthHubError",
    "FamilyError",
    "HubError",
    "HubTimeoutError",
    "IntegrityError",
    "LicenceError",
    "LockfileError",
    "MismatchError",
    "NoSpaceError",
    "NotFoundError",
    "NotLockedError",
    "OfflineError",
    "OptionError",
    "RemoteDamageError",
    "RemoteError",
    "RemoteSetupError",
    "SettingsError",
    "SourceError",
    "UnknownKeysError",
    "UnknownModelError",
    "UnsafeCheckpointError",
    "UnsupportedModelError",
]


class SettingsError(DepthHubError, ValueError):
    """An environment variable that cannot be what it is: `variable` and its `value`."""

    def __init__(self, message: str, *, variable: str, value: str) -> None:
        super().__init__(message)
        self.variable = variable
        self.value = value


class OptionError(DepthHubError, ValueError):
    """An option of a call that cannot be: which `option`, and the `value` that was given."""

    def __init__(self, message: str, *, option: str, value: object) -> None:
        super().__init__(message)
        self.option = option
        self.value = value


class SourceError(DepthHubError, ValueError):
    """What was written is not a source. `text` is what was written."""

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class UnknownModelError(DepthHubError, LookupError):
    """A name that is not in the catalog. `suggestions` holds near misses, best first."""

    def __init__(self, message: str, *, name: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.suggestions = tuple(suggestions)


class UnsupportedModelError(DepthHubError, ValueError):
    """A known checkpoint that a plain DPT cannot express. `reason` is one sentence."""

    def __init__(self, message: str, *, name: str, reason: str) -> None:
        super().__init__(message)
        self.name = name
        self.reason = reason


class CatalogError(DepthHubError, ValueError):
    """A catalog file that breaks the schema. `entry` is the checkpoint's name or place, `field` what is wrong in it."""

    def __init__(self, message: str, *, path: Path, entry: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.entry = entry
        self.field = field


class NotFoundError(DepthHubError, FileNotFoundError):
    """A repository, revision, file or local path that is not there. `source` is what was asked for."""

    def __init__(self, message: str, *, source: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.source = source
        self.suggestions = tuple(suggestions)


class AccessError(DepthHubError, PermissionError):
    """The Hub refuses: a gated or private repository, or a token that it does not accept."""

    def __init__(self, message: str, *, source: str, gated: bool = False) -> None:
        super().__init__(message)
        self.source = source
        self.gated = gated


class OfflineError(DepthHubError, ConnectionError):
    """Something is needed that is not on this machine, and the network may not be used."""

    def __init__(self, message: str, *, source: str) -> None:
        super().__init__(message)
        self.source = source


class HubError(DepthHubError, ConnectionError):
    """The Hub, a mirror or a proxy did not answer, or not as a Hub does. `status` is the HTTP status, if any."""

    def __init__(self, message: str, *, source: str, status: int | None = None) -> None:
        super().__init__(message)
        self.source = source
        self.status = status


class HubTimeoutError(HubError, TimeoutError):
    """A limit of the settings was reached. `limit` names the setting, `seconds` is its value."""

    def __init__(self, message: str, *, source: str, limit: str, seconds: float, status: int | None = None) -> None:
        super().__init__(message, source=source, status=status)
        self.limit = limit
        self.seconds = seconds


class IntegrityError(DepthHubError, ValueError):
    """Bytes that are not those that were promised: `expected` and `found` are digests or sizes."""

    def __init__(self, message: str, *, source: str, expected: str, found: str) -> None:
        super().__init__(message)
        self.source = source
        self.expected = expected
        self.found = found


class CheckpointError(DepthHubError, ValueError):
    """A file that cannot be read as a checkpoint. `path` is the file."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(message)
        self.path = path


class UnsafeCheckpointError(CheckpointError):
    """A pickle that holds more than tensors and plain containers. `offending` names what it wants to import."""

    def __init__(self, message: str, *, path: Path, offending: Sequence[str]) -> None:
        super().__init__(message, path=path)
        self.offending = tuple(offending)


class UnknownKeysError(CheckpointError):
    """Tensors that no rule knows (`unexpected`), that are `missing`, or that have the wrong shape (`misshapen`)."""

    def __init__(
        self,
        message: str,
        *,
        path: Path,
        unexpected: Sequence[str] = (),
        missing: Sequence[str] = (),
        misshapen: Sequence[str] = (),
    ) -> None:
        super().__init__(message, path=path)
        self.unexpected = tuple(unexpected)
        self.missing = tuple(missing)
        self.misshapen = tuple(misshapen)


class MismatchError(CheckpointError):
    """A sound checkpoint of another model: `expected` was asked for, `found` is in the file."""

    def __init__(self, message: str, *, path: Path, expected: str, found: str) -> None:
        super().__init__(message, path=path)
        self.expected = expected
        self.found = found


class FamilyError(DepthHubError, ValueError):
    """How to build the model is not known from anything at hand, or two sources of it contradict each other."""

    def __init__(self, message: str, *, source: str) -> None:
        super().__init__(message)
        self.source = source


class LicenceError(DepthHubError, PermissionError):
    """Weights whose `licence` (None: not known) is none of the `allowed` ones. `stated_by` says where it is stated."""

    def __init__(
        self, message: str, *, source: str, licence: str | None, stated_by: str, allowed: Sequence[str]
    ) -> None:
        super().__init__(message)
        self.source = source
        self.licence = licence
        self.stated_by = stated_by
        self.allowed = tuple(allowed)


class LockfileError(DepthHubError, ValueError):
    """A file that is no lockfile, or none that this version reads: `path`, and the `field` that is wrong, if one is."""

    def __init__(self, message: str, *, path: Path, field: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.field = field


class NotLockedError(DepthHubError, PermissionError):
    """The lockfile `path` is in force, and `source`, as it was asked for, is not what is written there."""

    def __init__(self, message: str, *, source: str, path: Path) -> None:
        super().__init__(message)
        self.source = source
        self.path = path
