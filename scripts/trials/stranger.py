"""A user whom the machine does not know: a random uid without a name, without a home, without rights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

UID = 54_321
HOME = "/there/is/no/such/home"


def can_become_one() -> bool:
    """Only root can be somebody else; whoever is not root has no rights to give up."""
    return os.geteuid() == 0


def become_one() -> None:
    """This process, for good."""
    os.environ["HOME"] = HOME
    if can_become_one():
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)


def give_to_one(folder: Path) -> None:
    """Make the stranger the owner of all that is there."""
    if can_become_one():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, UID, UID)


def run_as_one(argv: list[str], environment: dict[str, str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    """Another Python, from its first import on. Raises subprocess.TimeoutExpired."""
    user = {"user": UID, "group": UID, "extra_groups": []} if can_become_one() else {}
    kept = {name: os.environ[name] for name in ("PATH", "NO_PROXY", "no_proxy", "HF_ENDPOINT") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-P", *argv] if sys.version_info >= (3, 11) else [sys.executable, *argv],
        env=kept | environment,
        cwd="/",
        text=True,
        capture_output=True,
        timeout=seconds,
        check=False,
        **user,  # type: ignore[call-overload]
    )


def is_readable_for_one() -> bool:
    """Whether Python and this project can be read by everybody: in somebody's private folder they cannot."""
    places = [Path(sys.executable), Path(sys.prefix), Path(__file__), Path(os.__file__)]
    if not can_become_one():
        return True
    pid = os.fork()
    if not pid:
        code = 1
        try:
            become_one()
            code = 0 if all(os.access(place, os.R_OK) for place in places) else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0
