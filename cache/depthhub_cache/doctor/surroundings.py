"""What can be said of a cache's folder without writing anything into it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path

from ..filesystem import FileSystem
from .probes import Finding

_LITTLE = 3_000_000_000
"""Bytes that a large model takes while it is made: the checkpoint and what it becomes."""

_NOTHING = 64_000_000
"""Less than the smallest model takes."""

_OTHER_FOLDER = "name another folder with DEPTHHUB_CACHE"


def file_system(system: FileSystem) -> Finding:
    """Which file system it is."""
    name = "file system"
    if system.type is None and system.is_network is None:
        return Finding(name, "unknown", "This system does not say which file system it is.")
    kind = system.type or "a drive"
    source = f", from {system.source}" if system.is_network and system.source else ""
    if system.is_network:
        return Finding(
            name,
            "degraded",
            f"A network file system ({kind}{source}): slower to load from, and not all of its promises hold between "
            "machines.",
            f"For a machine of one's own, {_OTHER_FOLDER} on a local disk; as a shared cache, list it after a local "
            "one.",
        )
    if system.is_network is None:
        return Finding(name, "unknown", f"{kind} is not known here; it is taken for a local file system.")
    if system.may_lose_blocks:
        return Finding(
            name,
            "degraded",
            f"A local file system without a journal ({kind}): after a power cut what is repaired of it may hold blocks "
            "of other files, under the right names.",
            f"After one, run `depthhub verify --deep`; or {_OTHER_FOLDER}.",
        )
    return Finding(name, "good", f"A local file system ({kind}).")


def folder(root: Path) -> Finding:
    """Whose it is, and who else may write there."""
    name = "folder"
    try:
        state = root.stat()
    except FileNotFoundError:
        what = f"{root} is not there yet. When it is, run this again, so that what is found can be noted."
        return Finding(name, "unknown", what)
    except OSError as error:
        return Finding(name, "broken", f"{root} cannot be looked at: {error.strerror}.", f"Or {_OTHER_FOLDER}.")
    if not stat.S_ISDIR(state.st_mode):
        return Finding(name, "broken", f"{root} is not a folder.", f"Remove it, or {_OTHER_FOLDER}.")
    if sys.platform == "win32":
        return Finding(name, "good", "It is there.")
    user, group = _user(state.st_uid), _group(state.st_gid)
    mode = stat.S_IMODE(state.st_mode)
    facts = f"It belongs to {user}, group {group} (mode {mode:04o}); the umask is {_umask():03o}"
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return Finding(
            name,
            "degraded",
            f"{facts}. Every user of this machine may change what is in it.",
            f"chmod o-w {root}",
        )
    if mode & stat.S_IWGRP and not mode & stat.S_ISGID:
        return Finding(
            name,
            "degraded",
            f"{facts}. The group may write, but new folders in it will belong to other groups.",
            f"chmod g+s {root}",
        )
    if mode & stat.S_IWGRP:
        return Finding(name, "good", f"{facts}. It is shared: what is made in it is the group's, whatever the umask.")
    if state.st_uid != os.geteuid():
        return Finding(
            name,
            "degraded",
            f"{facts}, and this process is {_user(os.geteuid())}: what one of them writes, the other may not change.",
            f"To share it, chgrp it to a common group and chmod g+ws {root}; else {_OTHER_FOLDER}.",
        )
    return Finding(name, "good", f"{facts}.")


def space(root: Path) -> Finding:
    """How much room there is."""
    name = "space"
    place = next(filter(os.path.isdir, (root, *root.parents)), root)
    try:
        usage, is_read_only = shutil.disk_usage(place), _is_read_only(place)
    except OSError as error:
        return Finding(name, "unknown", f"The free space cannot be told: {error.strerror}.")
    if is_read_only:
        return Finding(name, "good", "The file system is read-only: how much is free does not matter.")
    if not usage.total:  # buckets, and other places without an end
        return Finding(name, "unknown", "The file system does not tell its free space.")
    if _has_no_names_left(place):
        return Finding(name, "broken", "The file system has no room for another file (inodes).", "Remove files there.")
    free = f"{usage.free / 1e9:,.2f} GB are free"
    make_room = f"`depthhub cache gc --max-size` with what may stay makes room; or {_OTHER_FOLDER}."
    if usage.free < _NOTHING:
        return Finding(name, "broken", f"{free}: no model fits.", make_room)
    if usage.free < _LITTLE:
        return Finding(name, "degraded", f"{free}: a large model takes up to 3 GB while it is made.", make_room)
    return Finding(name, "good", f"{free}.")


def _is_read_only(place: Path) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def reading(root: Path) -> Finding:
    """Whether a cache that is only read can be read."""
    name = "reading"
    entries = root / "v1" / "entries"
    try:
        count = sum(1 for shelf in os.scandir(entries) if shelf.is_dir() for _ in os.scandir(shelf.path))
    except FileNotFoundError:
        return Finding(
            name,
            "degraded",
            f"{root} holds no cache." if os.path.lexists(root) else f"{root} is not there.",
            "Leave it out of DEPTHHUB_CACHE, or mount what should be there.",
        )
    except OSError as error:
        return Finding(
            name,
            "degraded",
            f"{error.filename} cannot be read: {error.strerror}; the caches after it are asked instead.",
            "Ask its owner for permission to read it, or leave it out of DEPTHHUB_CACHE.",
        )
    return Finding(name, "good", f"It can be read; it holds {count} {'entry' if count == 1 else 'entries'}.")


def _has_no_names_left(place: Path) -> bool:
    if sys.platform == "win32":
        return False
    with suppress(OSError):
        state = os.statvfs(place)
        return state.f_files > 0 and state.f_favail == 0
    return False


def _umask() -> int:
    """Read, where the system shows it: to set it, which is the other way, changes it for all threads for a moment."""
    with suppress(OSError):
        found = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text(errors="replace"), re.MULTILINE)
        if found:
            return int(found[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _user(number: int) -> str:
    if sys.platform != "win32":
        import pwd

        with suppress(KeyError):  # containers run under numbers that have no name
            return pwd.getpwuid(number).pw_name
    return f"uid {number}"


def _group(number: int) -> str:
    if sys.platform != "win32":
        import grp

        with suppress(KeyError):
            return grp.getgrgid(number).gr_name
    return f"gid {number}"
