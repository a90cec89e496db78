"""Exit codes: one number per thing that a script may want to do differently next.

  0  done
  1  part of what was asked failed, in more than one way, or a picture could not be read
  2  the command line, a setting or a catalog is wrong
  3  no such model, file or repository, or it is not in the cache
  4  the Hub or the remote store did not answer, or the network may not be used
  5  the Hub refuses: gated, private, or a token that it does not accept
  6  bytes that are not what they should be: a download, a checkpoint, an entry of the cache or a remote store, a bundle
  7  the model cannot be built: unsupported, or its family is not known
  8  a file or folder cannot be read or written: the cache, or an output
  9  an optional package is missing
 10  refused by your own rules: not in the lockfile, a lockfile out of date, a licence that is not allowed
130  interrupted (Ctrl-C)
141  the reader of the output went away

When several things were asked and some failed, the others are done all the same, and the code is that of the
failures if they are all alike, else 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ..errors import (
    AccessError,
    BrokenEntryError,
    BundleError,
    CacheError,
    CatalogError,
    CheckpointError,
    DepthHubError,
    FamilyError,
    HubError,
    IntegrityError,
    LicenceError,
    LockfileError,
    NotFoundError,
    NotLockedError,
    OfflineError,
    OptionError,
    RemoteDamageError,
    RemoteError,
    RemoteSetupError,
    SettingsError,
    SourceError,
    UnknownModelError,
    UnsupportedModelError,
)
from .errors import MissingExtraError, PictureError, UsageError


class ExitCode(IntEnum):
    """The number that the shell sees; the module's docstring says what each means."""

    DONE = 0
    PARTLY_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NETWORK = 4
    ACCESS = 5
    WRONG_BYTES = 6
    CANNOT_BUILD = 7
    CANNOT_WRITE = 8
    MISSING_EXTRA = 9
    REFUSED = 10
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_CODES_HELP = "exit codes:\n" + "\n".join(
    f"  {line}".rstrip() for line in (__doc__ or "").partition("\n\n")[2].rstrip().splitlines()
)


def exit_code_of(error: BaseException) -> ExitCode | None:
    """The code that an error ends with; None for one that is nobody's mistake but ours."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def common_exit_code(codes: Iterable[ExitCode]) -> ExitCode:
    """The code of several outcomes: done if there was no failure, that of the failures if alike, else PARTLY_FAILED."""
    failures = {code for code in codes if code is not ExitCode.DONE}
    if not failures:
        return ExitCode.DONE
    return failures.pop() if len(failures) == 1 else ExitCode.PARTLY_FAILED


_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (  # the first that fits counts: special before general
    (UsageError, ExitCode.USAGE),
    (OptionError, ExitCode.USAGE),
    (SourceError, ExitCode.USAGE),
    (CatalogError, ExitCode.USAGE),
    (SettingsError, ExitCode.USAGE),
    (PictureError, ExitCode.PARTLY_FAILED),
    (MissingExtraError, ExitCode.MISSING_EXTRA),
    (LockfileError, ExitCode.USAGE),
    (RemoteSetupError, ExitCode.USAGE),
    (RemoteDamageError, ExitCode.WRONG_BYTES),
    (LicenceError, ExitCode.REFUSED),
    (NotLockedError, ExitCode.REFUSED),
    (UnknownModelError, ExitCode.NOT_FOUND),
    (NotFoundError, ExitCode.NOT_FOUND),
    (OfflineError, ExitCode.NETWORK),
    (HubError, ExitCode.NETWORK),
    (RemoteError, ExitCode.NETWORK),
    (AccessError, ExitCode.ACCESS),
    (IntegrityError, ExitCode.WRONG_BYTES),
    (CheckpointError, ExitCode.WRONG_BYTES),
    (BrokenEntryError, ExitCode.WRONG_BYTES),
    (BundleError, ExitCode.WRONG_BYTES),
    (UnsupportedModelError, ExitCode.CANNOT_BUILD),
    (FamilyError, ExitCode.CANNOT_BUILD),
    (CacheError, ExitCode.CANNOT_WRITE),
    (DepthHubError, ExitCode.PARTLY_FAILED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (BrokenPipeError, ExitCode.BROKEN_PIPE),
    (OSError, ExitCode.CANNOT_WRITE),
)
