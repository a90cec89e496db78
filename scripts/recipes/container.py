"""A container made of the system's own parts: namespaces, an overlay of layers, bind mounts, a uid without rights.

What a container engine does for a process, without one. The base of every image is this machine's own /usr and Python,
which are only read; all that an image adds lies in layers above them. Needs Linux and root.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ssl", "/etc/ld.so.cache", "/etc/alternatives")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_NEEDED = ("unshare", "chroot", "mount", "setpriv", "env")

PYTHON = Path(sys.prefix)
"""The environment that stands for that of the base image; layers go above it, too."""

PATH = f"{PYTHON}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


Ended = subprocess.CompletedProcess[str]


class Mount(NamedTuple):
    """A folder of this machine, as the container sees it."""

    source: Path
    target: str
    read_only: bool = False


class Container(NamedTuple):
    """What a process gets.

    layers: folders, the lowest first, each as `new_layer` makes it. upper: the layer that is written to; None: what is
    written is gone with the process. mounts: on top of it; memory: folders that are writable and empty. user, group,
    groups: numbers; capable: root keeps its rights within. read_only: of the root file system. network: that of this
    machine; else there is none, not even loopback.
    """

    layers: tuple[Path, ...]
    upper: Path | None = None
    mounts: tuple[Mount, ...] = ()
    memory: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    user: int = 0
    group: int = 0
    groups: tuple[int, ...] = ()
    capable: bool = False
    workdir: str = "/"
    read_only: bool = False
    network: bool = False

    def run(self, command: Sequence[str], *, seconds: float = 300, out: IO[str] | None = None) -> Ended:
        """The command, to its end; what it prints goes to `out`, or is kept."""
        output, errors = (subprocess.PIPE, subprocess.PIPE) if out is None else (out, subprocess.STDOUT)
        with self.ready(command) as argv:
            return subprocess.run(argv, timeout=seconds, check=False, text=True, stdout=output, stderr=errors)

    @contextmanager
    def ready(self, command: Sequence[str]) -> Iterator[list[str]]:
        """What to start on this machine, so that the command runs within."""
        with tempfile.TemporaryDirectory(prefix="container-") as scratch:
            spaces = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
            spaces += [] if self.network else ["--net"]
            root, own = Path(scratch, "root"), Path(scratch, "own")
            script = "\n".join(["set -eu", *self._setting_up(root, own), self._start(root)])
            yield ["unshare", *spaces, "--propagation", "private", "sh", "-c", script, "container", *command]

    def _setting_up(self, root: Path, own: Path) -> Iterator[str]:
        yield f"hostname container && mkdir {root} {own}"
        yield f"mount -t tmpfs -o mode=755 own {own}"
        upper = self.upper
        if upper is None:
            upper = Path(own, "upper")
            yield f"mkdir -p {upper}/root {upper}/root-work {upper}/python {upper}/python-work"
            yield f"chmod 755 {upper}/root {upper}/python"
        yield _overlay([layer / "root" for layer in self.layers], upper / "root", root)
        yield from (_memory(f"{root}{place}") for place in self.memory)  # Python may lie below one of them
        for place in _system():
            yield _bind(Path(place), root, place, read_only=True)
        if sys.prefix != sys.base_prefix:
            yield _bind(Path(sys.base_prefix), root, sys.base_prefix, read_only=True)
        yield f"mkdir -p {root}{PYTHON}"
        yield _overlay(
            [PYTHON, *(layer / "python" for layer in self.layers)], upper / "python", Path(f"{root}{PYTHON}")
        )
        yield f"mkdir -p {root}/proc {root}/sys {root}/dev && mount -t proc proc {root}/proc"
        yield f"mount -t sysfs -o ro sys {root}/sys && mount -t tmpfs -o mode=755 dev {root}/dev"
        yield from (f"touch {root}/dev/{name} && mount --bind /dev/{name} {root}/dev/{name}" for name in _DEVICES)
        yield _memory(f"{root}/dev/shm")
        for source, target, read_only in self.mounts:
            yield _bind(source, root, target, read_only=read_only)
        if self.read_only:
            yield f"mount -o remount,bind,ro {root} && mount -o remount,bind,ro {root}{PYTHON}"

    def _start(self, root: Path) -> str:
        who = [f"--reuid={self.user}", f"--regid={self.group}"]
        who += [f"--groups={','.join(map(str, self.groups))}"] if self.groups else ["--clear-groups"]
        who += [] if self.capable else ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        env = [f"{name}={value}" for name, value in {"PATH": PATH, **self.env}.items()]
        inside = ["setpriv", *who, "env", "-i", *env, "sh", "-c", 'cd "$0" && exec "$@"', self.workdir]
        return f'exec chroot {root} {shlex.join(inside)} "$@"'


def new_layer(folder: Path) -> Path:
    """An empty layer: what it changes in the root file system, and in the folder of Python."""
    for part in ("root", "root-work", "python", "python-work"):
        (folder / part).mkdir(parents=True)
    return folder


def base_layer(folder: Path) -> Path:
    """The lowest layer: the folders that every system has, and one user, root."""
    root = new_layer(folder) / "root"
    for place in ("etc", "opt", "run", "srv", "var", "tmp", "root"):
        (root / place).mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    return folder


@functools.cache
def why_no_containers() -> str | None:
    """Why this process may not make one, in words; None where it may."""
    if sys.platform != "linux":
        return "this system is not Linux"
    if os.geteuid() != 0:
        return "only root may make namespaces with users of its choice"
    if missing := [name for name in _NEEDED if subprocess.run(["which", name], capture_output=True).returncode]:
        return f"this system has no {' and no '.join(missing)}"
    with tempfile.TemporaryDirectory() as folder:
        tried = Container((base_layer(Path(folder)),)).run(["true"])
    return None if tried.returncode == 0 else f"the system refuses: {tried.stderr.strip()}"


def _system() -> list[str]:
    return [place for place in _SYSTEM if Path(place).exists()]


def _overlay(lower: Sequence[Path], upper: Path, target: Path) -> str:
    below = ":".join(map(str, reversed(lower)))
    return f"mount -t overlay -o lowerdir={below},upperdir={upper},workdir={upper}-work overlay {target}"


def _memory(place: str) -> str:
    return f"mkdir -p {place} && mount -t tmpfs -o mode=1777 memory {place}"


def _bind(source: Path, root: Path, target: str, *, read_only: bool) -> str:
    place = f"{root}{target}"
    make = f"mkdir -p {place}" if source.is_dir() else f"mkdir -p {Path(place).parent} && touch {place}"
    again = f" && mount -o remount,bind,ro {place}" if read_only else ""
    return f"{make} && mount --bind {source} {place}{again}"
