"""The table of mounts as Linux writes it (proc(5), `/proc/<pid>/mountinfo`). Text in, facts out."""

import os
import re
from typing import NamedTuple

_ESCAPED = rb"\\([0-7]{3})"
_OPTIONAL_FIELDS = 6


class Mount(NamedTuple):
    """One line of the table. device: `major:minor`. options: of the mount, then of what is mounted, each once."""

    device: str
    mounted_at: str
    type: str
    source: str
    options: tuple[str, ...]


def mount_of(table: str, *, device: str, path: str) -> Mount | None:
    """The mount that the real, absolute `path` lies on, whose stat tells `device`.

    The device decides: it is right also where a mount lies over another, or over the folder above. Where several
    mounts have it (bind mounts), or none (subvolumes of btrfs have numbers of their own), the nearest mount point
    above the path does, and of several at one point the last, which hides the others.
    """
    lines = table.split("\n")  # only this: a name may hold what Unicode takes for an end of line
    field = f" {device} "
    same_device = [mount for line in lines if field in line and (mount := parse_mount(line)) and mount.device == device]
    if same_device:
        return _nearest(same_device, path) or same_device[-1]
    return _nearest([mount for line in lines if (mount := parse_mount(line))], path)


def parse_mount(line: str) -> Mount | None:
    """One line of the table; None where it is none."""
    fields = line.split(" ")
    try:
        end = fields.index("-", _OPTIONAL_FIELDS)
        kind, source = fields[end + 1], fields[end + 2]
        device, mounted_at, of_mount = fields[2], fields[4], fields[5]
    except (ValueError, IndexError):
        return None
    of_what_is_mounted = " ".join(fields[end + 3 :])
    options = dict.fromkeys(text for text in f"{of_mount},{of_what_is_mounted}".split(",") if text)
    return Mount(
        device=device,
        mounted_at=_unescaped(mounted_at),
        type=kind,
        source=_unescaped(source),
        options=tuple(options),
    )


def _nearest(mounts: list[Mount], path: str) -> Mount | None:
    above = [mount for mount in mounts if _is_below(path, mount.mounted_at)]
    return max(reversed(above), key=lambda mount: len(mount.mounted_at), default=None)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _unescaped(text: str) -> str:
    """Blanks, tabs, line ends and backslashes are written as three octal digits."""
    if "\\" not in text:
        return text
    return os.fsdecode(re.sub(_ESCAPED, lambda found: bytes([int(found[1], 8) & 255]), os.fsencode(text)))
