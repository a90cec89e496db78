"""What file system a path lies on, and how to treat what lies there: cheap enough to be asked at every load.

Over a network, a mapped page is a question to a server each time that it is touched, tens of times slower than reading
the file once from its beginning to its end; and a mapped file that shrinks on the server ends the process (SIGBUS).
Locks of the system may be a matter of each host alone there. The mount's own options tell, without an experiment;
`doctor/` makes the experiments, and what those found is remembered and goes before what the options say.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .mounts import Mount, mount_of
from .owner import Owner

LockKind = Literal["flock", "soft", "none"]
"""flock: the system's own (also what Windows has in its place). soft: a file that exists. none: nothing excludes."""

_MOUNTS = Path("/proc/self/mountinfo")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOCAL = _names(
    "apfs bcachefs btrfs devtmpfs erofs exfat ext2 ext3 ext4 f2fs fuseblk hfs hfsplus iso9660 jfs lxfs msdos nilfs2"
    " ntfs ntfs3 overlay ramfs reiserfs rootfs squashfs tmpfs ubifs udf ufs vfat xfs zfs"
    " fuse.bindfs fuse.cryfs fuse.dwarfs fuse.encfs fuse.exfat fuse.fuse-overlayfs fuse.gocryptfs fuse.mergerfs"
    " fuse.ntfs fuse.ntfs-3g fuse.squashfuse fuse.squashfuse_ll fuse.unionfs fuse.unionfs-fuse"
)
_WITHOUT_A_JOURNAL = _names("ext2 exfat msdos vfat fuse.exfat")
# Other machines, the host of a virtual machine, and autofs: the place of a mount, mostly of NFS, that is still to come.
_NETWORK = _names(
    "9p acfs afs auristorfs autofs beegfs beegfs_nodev ceph cifs coda davfs drvfs fhgfs gfs gfs2 glusterfs gpfs lustre"
    " ncpfs nfs nfs4 ocfs2 orangefs panfs prl_fs pvfs2 quobyte smb3 smbfs vboxsf virtiofs vmhgfs wekafs"
)

# Where flock is a matter of one host: beegfs unless its own configuration says otherwise, folders that a virtual
# machine shares with its host, and programs, for which the kernel locks unless they do it themselves.
_LOCKS_OF_ONE_HOST = _names("beegfs beegfs_nodev fhgfs drvfs prl_fs vboxsf virtiofs vmhgfs")
_PROGRAMS_THAT_LOCK = _names("fuse.ceph fuse.ceph-fuse fuse.glusterfs fuse.juicefs fuse.mfs fuse.moosefs")
_OPTIONS_OF_ONE_HOST: Mapping[str, frozenset[str]] = {
    "nfs": _names("nolock local_lock=all local_lock=flock"),  # nfs(5)
    "nfs4": _names("nolock local_lock=all local_lock=flock"),
    "cifs": _names("nobrl nolock"),  # mount.cifs(8)
    "smb3": _names("nobrl nolock"),
    "gfs2": _names("localflocks"),
    "ocfs2": _names("localflocks"),
}

_DRIVE_REMOTE = 4
_DRIVE_LOCAL = frozenset({2, 3, 5, 6})  # removable, fixed, CD, RAM (GetDriveTypeW)


class FileSystem(NamedTuple):
    """What the system says of the file system that a path lies on; None: it does not say.

    device: number of the device, as stat tells it. source: what is mounted, a device or a server's folder.
    options: of the mount, and of what is mounted. is_network: another machine, or a program that may ask one, has the
    bytes.
    """

    device: int | None = None
    type: str | None = None
    source: str | None = None
    mounted_at: str | None = None
    options: tuple[str, ...] = ()
    is_network: bool | None = None

    @property
    def is_read_only(self) -> bool | None:
        """Whether nobody may write, whatever the permissions are."""
        return "ro" in self.options if self.options else None

    @property
    def may_lose_blocks(self) -> bool:
        """Whether a power cut may leave one block to two files: it has no journal, and does not copy what it writes."""
        return self.type in _WITHOUT_A_JOURNAL

    @property
    def should_map(self) -> bool:
        """Whether to map a file rather than to read it."""
        return not self.is_network

    @property
    def lock_kind(self) -> LockKind:
        """`soft` where the mount says that a lock of the system excludes nobody on other hosts."""
        if self.type is None or not self.is_network:
            return "flock"
        if self.type.startswith("fuse"):
            return "flock" if self.type in _PROGRAMS_THAT_LOCK else "soft"
        if self.type == "lustre":  # localflock, noflock, or an old client without a word: its default was none
            return "flock" if "flock" in self.options else "soft"
        says_so = not _OPTIONS_OF_ONE_HOST.get(self.type, frozenset()).isdisjoint(self.options)
        return "soft" if says_so or self.type in _LOCKS_OF_ONE_HOST else "flock"


class Handling(NamedTuple):
    """How to treat what lies in a place. locks: which to take for work there; map: map files rather than read them."""

    locks: LockKind
    map: bool


def remembered_or_facts(path: Path, recall: Callable[[str], Mapping[str, Any] | None]) -> Handling:
    """How to treat what lies at `path`: as experiments found here (`recall` of a Store gives it), else as facts say.

    Never raises, and asks the system a handful of questions.
    """
    device = device_of(path)
    if device is not None:
        remembered = _handling(recall(ref_name(device)))
        if remembered is not None:
            return remembered
    facts = file_system_of(path)
    return Handling(facts.lock_kind, facts.should_map)


def ref_name(device: int) -> str:
    """The ref under which it is remembered what experiments on a device found; it means nothing on other hosts."""
    return f"filesystem:{Owner.current().host}:{device}"


def device_of(path: Path) -> int | None:
    """The number of the device that `path` lies on, or will lie on when it is made; None where nothing tells."""
    state = _nearest(path)
    return None if state is None else state[1]


def file_system_of(path: Path) -> FileSystem:
    """The facts of the file system that `path` lies on, or will lie on when it is made. Never raises.

    Ask for a folder: on an overlay, files may show the device of what lies below it.
    """
    nearest = _nearest(path)
    if nearest is None:
        return FileSystem()
    place, device = nearest
    if sys.platform == "win32":
        return FileSystem(device=device, mounted_at=os.path.splitdrive(place)[0], is_network=_is_remote_drive(place))
    try:
        table = os.fsdecode(_MOUNTS.read_bytes())
    except OSError:  # no Linux, or no /proc
        return FileSystem(device=device)
    mount = mount_of(table, device=f"{os.major(device)}:{os.minor(device)}", path=os.path.realpath(place))
    return FileSystem(device=device) if mount is None else described(mount, device=device)


def described(mount: Mount, *, device: int | None = None) -> FileSystem:
    """What a mount's line in the table means."""
    return FileSystem(
        device=device,
        type=mount.type,
        source=mount.source,
        mounted_at=mount.mounted_at,
        options=mount.options,
        is_network=_is_network(mount),
    )


def _is_network(mount: Mount) -> bool | None:
    if mount.type in _NETWORK:
        return True
    if mount.type in _LOCAL:
        return False
    if mount.type == "fuse" or mount.type.startswith("fuse."):
        return True  # a bucket, or a program that nobody here knows: to read it once is right for all of them
    server, found, _ = mount.source.partition(":/")
    if mount.source.startswith("//") or (found and server and "/" not in server):
        return True
    return None


def _nearest(path: Path) -> tuple[str, int] | None:
    """The nearest folder that is there, and its device."""
    for place in _upwards(path):
        try:
            return place, os.stat(place).st_dev  # noqa: PTH116  a Path for each step is slow
        except (OSError, ValueError):  # missing, hidden, or no path at all
            continue
    return None


def _upwards(path: Path) -> Iterator[str]:
    place = os.fspath(path)
    while True:
        yield place
        above = os.path.dirname(place)  # noqa: PTH120
        if above in (place, ""):
            return
        place = above


def _handling(data: Mapping[str, Any] | None) -> Handling | None:
    """What was remembered, if it is whole: another version may have written it."""
    if data is None:
        return None
    locks, mapped = data.get("locks"), data.get("map")
    if locks not in ("flock", "soft", "none") or not isinstance(mapped, bool):
        return None
    return Handling(locks, mapped)


def _is_remote_drive(place: str) -> bool | None:
    if sys.platform != "win32":
        return None
    import ctypes

    drive, _ = os.path.splitdrive(os.path.realpath(place))
    kind = ctypes.WinDLL("kernel32").GetDriveTypeW(f"{drive}\\")
    return True if kind == _DRIVE_REMOTE else False if kind in _DRIVE_LOCAL else None
