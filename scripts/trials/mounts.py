"""Small and read-only file systems, seen by this process and its children alone, and gone when it ends. Needs root."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_DETACH = 2


def why_no_mounts() -> str | None:
    """Give this process mounts of its own; why that cannot be, in words, or None where it is done."""
    if sys.platform != "linux":
        return "this system is not Linux"
    if os.geteuid() != 0:
        return "only root may mount"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS):
        return f"the system refuses mounts of one's own: {os.strerror(ctypes.get_errno())}"
    try:
        _mount(None, Path("/"), None, _RECURSIVE | _PRIVATE)
    except OSError as error:
        return f"the system refuses mounts of one's own: {error.strerror}"
    return None


def mount_memory(folder: Path, options: str) -> None:
    """A tmpfs on `folder`, made if it is not there. options: as of mount(8), such as `size=4m`."""
    folder.mkdir(exist_ok=True)
    _mount("depthhub-trial", folder, "tmpfs", 0, options)


def change_memory(folder: Path, options: str) -> None:
    """Other options for a mounted tmpfs; what lies in it stays."""
    _mount("depthhub-trial", folder, "tmpfs", _REMOUNT, options)


def mount_union(folder: Path, lower: Path, *, scratch: Path) -> None:
    """What lies in `lower`, on `folder`; changes go to `scratch`, on a tmpfs. So an image's layers are mounted."""
    upper, work = scratch / "upper", scratch / "work"
    for place in (upper, work):
        place.mkdir()
    _mount("overlay", folder, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")


def make_read_only(folder: Path) -> None:
    """`folder` alone, with all below it, can only be read until it is unmounted."""
    _mount(str(folder), folder, None, _BIND)
    _mount(None, folder, None, _BIND | _REMOUNT | _READ_ONLY)


def open_the_way_to(*places: Path) -> None:
    """Everybody may pass to these folders, as this process and its children see it: private ones above vanish."""
    opened = {place: os.open(place, os.O_RDONLY) for place in map(Path.resolve, places)}
    for place, descriptor in opened.items():
        closed = [above for above in place.parents if above.exists() and not above.stat().st_mode & 0o001]
        if closed:
            mount_memory(closed[-1], "size=1m,mode=755")
        place.mkdir(parents=True, exist_ok=True)
        if not os.path.samestat(place.stat(), os.fstat(descriptor)):
            _mount(f"/proc/self/fd/{descriptor}", place, None, _BIND)
        os.close(descriptor)


def unmount(folder: Path) -> None:
    if ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(folder), _DETACH):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))


def _mount(source: str | None, target: Path, kind: str | None, flags: int, options: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    texts = [os.fsencode(text) if text else None for text in (source, str(target), kind)]
    if libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(options) if options else None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))
