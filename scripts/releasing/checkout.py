"""The commit that is released: its version, its time, and whether it is ready."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .changelog import section_of
from .errors import ReleaseError

_VERSION = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)


class Checkout(NamedTuple):
    """version: in pyproject.toml. commit: 40 hex digits. time: of the commit, seconds since 1970."""

    root: Path
    version: str
    commit: str
    time: int

    @classmethod
    def of(cls, root: Path) -> Checkout:
        """Raises ReleaseError where `root` is no checkout of this project."""
        found = _VERSION.search((root / "pyproject.toml").read_text(encoding="utf-8"))
        if found is None:
            raise ReleaseError(f"{root / 'pyproject.toml'} states no version.")
        commit, time = git(root, "log", "-1", "--format=%H %ct").split()
        return cls(root, found[1], commit, int(time))

    @property
    def tag(self) -> str:
        """What this version is tagged with."""
        return f"v{self.version}"


def problems(checkout: Checkout, tag: str) -> Iterator[str]:
    """Why `checkout` cannot be released as `tag`, each in a sentence."""
    root = checkout.root
    if tag != checkout.tag:
        yield f"The tag is {tag}, and pyproject.toml has version {checkout.version}, which is tagged {checkout.tag}."
    try:
        tagged = git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    except ReleaseError:
        yield f"There is no tag {tag} here: `git tag {tag}`."
    else:
        if tagged != checkout.commit:
            yield f"The tag {tag} is at commit {tagged[:12]}, and {checkout.commit[:12]} is checked out."
    try:
        section_of((root / "CHANGELOG.md").read_text(encoding="utf-8"), checkout.version)
    except ReleaseError as error:
        yield str(error)
    if changed := git(root, "status", "--porcelain").splitlines():
        name = changed[0].split(maxsplit=1)[1]
        yield f"{len(changed)} files are not as they were committed, such as {name}. Commit or remove them."


def git(root: Path, *arguments: str) -> str:
    """What `git` prints. Raises ReleaseError where it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"`git {' '.join(arguments)}` failed in {root}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()
