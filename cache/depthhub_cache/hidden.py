"""What of a cache the system hides from us: nobody can say that it is sound, or that nothing is there."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from .entry import unreadable
from .errors import CacheError
from .reading import listed, open_file


def hidden_folders(folder: Path, *, levels: int) -> Iterator[CacheError]:
    """An error for each folder that cannot be listed: `folder`, and those up to `levels` below it."""
    try:
        inside = listed(folder)
        below = [path for path in inside if _is_folder(path)] if levels else []
    except FileNotFoundError:  # removed since it was seen
        return
    except OSError as error:
        yield unreadable(folder, error)
        return
    for path in below:
        yield from hidden_folders(path, levels=levels - 1)


def hidden_files(paths: Iterable[Path]) -> Iterator[CacheError]:
    """An error for each file that cannot be opened; what is no file, or not there, is not hidden."""
    for path in paths:
        try:
            open_file(path).close()
        except (FileNotFoundError, ValueError):
            continue
        except OSError as error:
            yield unreadable(path, error)


def _is_folder(path: Path) -> bool:
    """Raises OSError where the system does not tell."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False
