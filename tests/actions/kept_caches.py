"""What actions/cache does, with folders of this machine in the place of GitHub's storage.

As of its version 5: a cache is found by its key, else the newest whose key begins with the key, else with one of the
restore-keys, in their order; only among those that were saved from the same path. A key that is taken is never written
again: `save` warns, and succeeds.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path


class KeptCaches:
    """The caches of one repository. `saved` lists the keys in the order in which they were saved."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.saved: list[str] = []

    def restore(self, given: Mapping[str, str]) -> dict[str, str]:
        """The outputs of actions/cache/restore; without `cache-hit` where nothing was found, as there."""
        path, key = Path(given["path"]), given["key"]
        found = key if self._holds(key, path) else self._newest([key, *given.get("restore-keys", "").split()], path)
        if found is None:
            return {"cache-primary-key": key}
        shutil.copytree(self.content(found), path, symlinks=True, dirs_exist_ok=True)
        return {"cache-hit": json.dumps(found == key), "cache-primary-key": key, "cache-matched-key": found}

    def save(self, given: Mapping[str, str]) -> dict[str, str]:
        path, key = Path(given["path"]), given["key"]
        if self._place(key).exists() or not path.exists():
            return {}
        shutil.copytree(path, self.content(key), symlinks=True)
        (self._place(key) / "path").write_text(str(path))
        self.saved.append(key)
        return {}

    def content(self, key: str) -> Path:
        """The files that are kept under a key, to look at or to spoil."""
        return self._place(key) / "content"

    def _newest(self, beginnings: list[str], path: Path) -> str | None:
        for beginning in beginnings:
            for key in reversed(self.saved):
                if key.startswith(beginning) and self._holds(key, path):
                    return key
        return None

    def _holds(self, key: str, path: Path) -> bool:
        where = self._place(key) / "path"
        return where.is_file() and where.read_text() == str(path)

    def _place(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()
