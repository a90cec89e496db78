"""Which process a staging directory or a lock belongs to, and whether that process is surely gone."""

import hashlib
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .processes import is_running, start_of

_PROC = Path("/proc")
_RANDOM = r"[0-9a-f]{8}"
_TEXT = r"([A-Za-z0-9._]{1,40})-(\d{1,20})-(\d{1,20})"

_OF_ITS_OWN = os.urandom(4).hex()
"""Of this process and those it forks; in the place of what tells one host from another, where nothing does."""


class Owner(NamedTuple):
    """A process, told apart from those of other machines and containers, and from later ones with the same pid.

    host: host name and, on Linux, a digest of boot and pid namespace; where the system does not tell them (no /proc),
    a name of this process and those it forks, whom nobody else judges then. started: in the system's own unit, 0: not
    known.
    """

    host: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> "Owner":
        """This process. Asked anew each time, so that a forked child is not its parent."""
        return cls(_host(), os.getpid(), start_of(os.getpid()) or 0)

    @classmethod
    def parse(cls, text: str) -> "Owner | None":
        """The owner that `str` wrote; None where it did not."""
        found = re.fullmatch(_TEXT, text)
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    @classmethod
    def of_name(cls, name: str) -> "Owner | None":
        """The owner in a name that `unique_name` gave; None for any other name."""
        text, _, random = name.rpartition("-")
        return cls.parse(text) if re.fullmatch(_RANDOM, random) else None

    def unique_name(self) -> str:
        """A name that nobody else gives, and that tells whose it is."""
        return f"{self}-{os.urandom(4).hex()}"

    def __str__(self) -> str:
        return f"{self.host}-{self.pid}-{self.started}"

    def is_local(self) -> bool:
        """Whether it runs, or ran, where this process can see it: same machine, same boot, same pid namespace."""
        return self.host == _host()

    def is_gone(self) -> bool:
        """True only where it is sure: the process was local, and has ended. A process elsewhere is never gone."""
        if not self.is_local():
            return False
        if not is_running(self.pid):
            return True
        started = start_of(self.pid)
        return started is not None and self.started not in (0, started)


def host_name() -> str:
    """The machine's name for people."""
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "windows")
    return os.uname().nodename


def _host() -> str:
    letters = (letter if letter.isascii() and (letter.isalnum() or letter == ".") else "_" for letter in host_name())
    name = "".join(letters)[:24] or "host"
    if sys.platform != "linux":
        return name
    # Cloned machines and containers share names, and would judge each other's pids. The boot tells machines apart,
    # the namespaces containers; what an earlier boot left waits for its age.
    try:
        facts = [(_PROC / "sys/kernel/random/boot_id").read_text(), str((_PROC / "self/ns/pid").stat().st_ino)]
    except OSError:
        return f"{name}.{_OF_ITS_OWN}"
    with suppress(OSError):  # in another one the starts of processes are told by another clock
        facts.append(str((_PROC / "self/ns/time").stat().st_ino))
    return f"{name}.{hashlib.sha256(' '.join(facts).encode()).hexdigest()[:8]}"
