"""A remote that is mounted: a folder. Needs no fsspec."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .. import disk
from ..errors import CacheError, CacheNotWritableError
from ..identity import ContentHash
from ..owner import Owner
from ..reading import children, open_file
from ..staging import StagedFile
from .place import NotThere, Pieces, TakenMeanwhile, Trouble
from .reasons import reason_of

_PIECE = 4 << 20
_ABANDONED = 24 * 3600.0  # seconds after which nobody elsewhere writes any more
_PART = re.compile(r"[0-9a-f]{64}\.[a-z]+\.(.+)\.part")


class Folder:
    """Files in `root`, each written beside its place, synced and renamed: a reader sees none, or a whole one."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> Iterator[bytes]:
        self._require_root()
        try:
            file = open_file(self._root / name)
        except FileNotFoundError:
            raise NotThere from None
        except ValueError:
            raise Trouble(f"{name} is not a file", "Remove what is there.") from None
        with file:
            while piece := file.read(_PIECE):
                yield piece

    def size(self, name: str) -> int | None:
        self._require_root()
        try:
            return (self._root / name).stat().st_size
        except FileNotFoundError:
            return None

    def put(self, name: str, pieces: Pieces, sha256: ContentHash, *, over: bool) -> Iterator[int]:
        del sha256  # a file has no place for it, but its name
        self._require_root()
        target = self._root / name
        part = self._root / f"{name}.{Owner.current().unique_name()}.part"
        try:
            self._sweep()
            yield from self._write(part, pieces)
            if not over and os.path.lexists(target):
                raise TakenMeanwhile
            disk.put(part, target)
        except CacheNotWritableError as error:
            advice = "Nothing was put there. Mend that, or push as somebody who may."
            raise Trouble(reason_of(error.__cause__ or error), advice) from None
        finally:
            with suppress(CacheError):
                disk.remove_file(part)

    def close(self) -> None:
        pass

    def _write(self, part: Path, pieces: Pieces) -> Iterator[int]:
        staged = StagedFile(part)
        try:
            for piece in pieces():
                staged.write(piece)
                yield staged.size
            staged.finish()
        finally:
            staged.close()

    def _sweep(self) -> None:
        """Remove what killed processes have left, of any object: at once where they are surely gone, else by age."""
        for path in children(self._root):
            found = _PART.fullmatch(path.name)
            owner = Owner.of_name(found[1]) if found else None
            with suppress(OSError, CacheError):
                if owner is not None and (owner.is_gone() if owner.is_local() else _is_old(path)):
                    disk.remove_file(path)

    def _require_root(self) -> None:
        """A folder that is not mounted has nothing in it, and is no place to put anything into."""
        if not self._root.is_dir():
            raise Trouble("there is no such folder", "Mount it, or make it.")


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _ABANDONED
