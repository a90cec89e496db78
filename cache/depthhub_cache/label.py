"""The two files that tell others what the root of the cache is: CACHEDIR.TAG, for backup programs, and a README."""

from __future__ import annotations

from pathlib import Path

from .reading import read_file
from .staging import Staging

_README = """\
This folder is a cache of depthhub: converted model weights, named by what they were made from.
All of it can be made again, so deleting it costs time and no data. `depthhub cache info` says what it holds.
"""

# bford.info/cachedir: the first line decides
_TAG = """\
Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of depthhub; programs that make backups may leave it out.
"""

_AREAS = {"entries", "refs", "checkpoints", "locks", "leases", "used", "pins", "quarantine", "tmp"}


def put(root: Path, staging: Staging) -> None:
    """Label the root, once. A folder that holds other things stays as it is: the tag would keep them out of backups."""
    try:
        if not _is_a_new_cache(root):
            return
    except (OSError, ValueError):  # who cannot see what is there cannot say what the label would be on
        return
    for name, text in (("README", _README), ("CACHEDIR.TAG", _TAG)):
        staging.add(name, text.encode("ascii"))
        staging.place(name, root / name)


def _is_a_new_cache(root: Path) -> bool:
    """Whether there is nothing but areas of ours, and perhaps the README of one who died before the tag was there."""
    names = {path.name for path in root.iterdir()}
    if names not in ({"v1"}, {"v1", "README"}):
        return False
    if "README" in names and read_file(root / "README", len(_README)) != _README.encode("ascii"):
        return False
    return {path.name for path in (root / "v1").iterdir()} <= _AREAS
