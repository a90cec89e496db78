"""What a caller asked, parsed once."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from .. import source as grammar
from ..checkpoint.recipe import Dtype
from ..errors import FamilyError, OptionError
from ..model.config import FAMILIES, METRIC, Family
from ..progress import Report, silent
from ..settings import Settings

if TYPE_CHECKING:
    import torch

    from ..lockfile import Lockfile
else:
    Lockfile = object  # most calls need none of it, and a text in its place would be compiled

SourceLike = str | os.PathLike[str]


class Request(NamedTuple):
    """One source and everything that was said about it."""

    source: grammar.Source
    explicit_hub: bool  # written with hf://, so that no local path can be meant
    family: Family | None
    max_depth: float | None
    dtype: Dtype | None
    refresh: bool
    asks: bool  # else what the Hub would say now counts for nothing: what it said once does
    remembers: bool  # else what the Hub says now is for this call alone
    verify: bool
    settings: Settings
    lock: Lockfile | None
    report: Report

    @classmethod
    def parse(
        cls,
        source: SourceLike,
        *,
        revision: str | None = None,
        family: str | None = None,
        max_depth: float | None = None,
        dtype: "torch.dtype | str | None" = None,
        refresh: bool = False,
        verify: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        offline: bool | None = None,
        lockfile: str | os.PathLike[str] | None = None,
        locked: bool = True,
        asks: bool = True,
        progress: Report | None = None,
    ) -> "Request":
        """Check every option before anything is done.

        locked: if not, a lockfile that is in force has no say, and need not be there. asks: if not, nobody is asked.
        Raises SourceError, FamilyError, OptionError, SettingsError, LockfileError.
        """
        if cache_dir is not None and not (isinstance(cache_dir, str | os.PathLike) and os.fspath(cache_dir)):
            raise OptionError(f"cache_dir is a folder; got {cache_dir!r}.", option="cache_dir", value=cache_dir)
        if progress is not None and not callable(progress):
            raise OptionError(
                f"progress is called with a Progress; got {progress!r}.", option="progress", value=progress
            )
        settings = Settings.resolve(cache_dir=cache_dir, token=token, offline=offline, lockfile=lockfile)
        return cls(
            source=grammar.parse(source, revision=revision),
            explicit_hub=isinstance(source, str) and source.startswith("hf://"),
            family=_family(family, max_depth, str(source)),
            max_depth=max_depth,
            dtype=_dtype(dtype),
            refresh=refresh,
            asks=asks,
            remembers=True,
            verify=verify,
            settings=settings,
            lock=_read_lock(settings.lockfile) if locked and settings.lockfile is not None else None,
            report=progress or silent,
        )


def _read_lock(path: Path) -> Lockfile:
    from ..lockfile import Lockfile  # most calls have none

    return Lockfile.read(path)


def _family(family: str | None, max_depth: float | None, source: str) -> Family | None:
    if family is not None and family not in FAMILIES:
        raise FamilyError(f"family {family!r} is none of: {', '.join(FAMILIES)}.", source=source)
    if max_depth is not None and (isinstance(max_depth, bool) or not isinstance(max_depth, int | float)):
        raise OptionError(f"max_depth is a number of metres; got {max_depth!r}.", option="max_depth", value=max_depth)
    if max_depth is not None:
        if family is not None and family != METRIC:
            raise FamilyError(
                f"max_depth belongs to family v2-metric; family {family} has no unit. Leave one of them out.",
                source=source,
            )
        if not sys.float_info.min <= max_depth <= sys.float_info.max:
            is_short = isinstance(max_depth, float) or abs(max_depth) < 1 << 64  # Python refuses to print some others
            found = max_depth if is_short else "an integer of many more digits"
            raise FamilyError(f"max_depth is in metres, finite and more than 0; got {found}.", source=source)
    return family


def _dtype(dtype: "torch.dtype | str | None") -> Dtype | None:
    if dtype is None:
        return None
    name = str(dtype).removeprefix("torch.")
    if name not in get_args(Dtype):
        raise OptionError(f"dtype {name!r} is none of: {', '.join(get_args(Dtype))}.", option="dtype", value=dtype)
    return name  # type: ignore[return-value]  # narrowed by the membership test above
