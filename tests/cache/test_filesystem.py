"""What is known of a file system from its mount, and what a load makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthhub_cache import filesystem
from depthhub_cache.filesystem import (
    FileSystem,
    Handling,
    described,
    device_of,
    file_system_of,
    ref_name,
    remembered_or_facts,
)
from depthhub_cache.mounts import Mount, mount_of, parse_mount
from depthhub_cache.owner import Owner
from depthhub_cache.store import Store

from .conftest import Mount as MakeMount

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a table of mounts")

ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard"
NFS = (
    "98 27 0:52 / /home/ann rw,relatime shared:51 - nfs4 nas:/export/ann "
    "rw,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,hard,proto=tcp,timeo=600,sec=sys,local_lock=none,addr=10.0.0.7"
)


def table(*lines: str) -> str:
    return "".join(f"{line}\n" for line in (ROOT, *lines))


def system_of(line: str) -> FileSystem:
    mount = parse_mount(line)
    assert mount is not None
    return described(mount)


# --- the table


def test_a_line_is_read_with_all_its_fields() -> None:
    mount = parse_mount(NFS)
    assert mount is not None
    assert (mount.device, mount.mounted_at, mount.type, mount.source) == (
        "0:52",
        "/home/ann",
        "nfs4",
        "nas:/export/ann",
    )
    assert mount.options[:3] == ("rw", "relatime", "vers=4.2")
    assert "local_lock=none" in mount.options


@pytest.mark.parametrize(
    "line",
    [
        "36 35 98:0 /mnt1 /mnt2 rw,noatime - ext3",
        "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3",
        "36 35 98:0 /mnt1 /mnt2 rw,noatime shared:2 master:1 propagate_from:3 unbindable - ext3",
    ],
)
def test_any_number_of_optional_fields_is_passed_by(line: str) -> None:
    assert parse_mount(f"{line} /dev/root rw,errors=continue") == Mount(
        device="98:0",
        mounted_at="/mnt2",
        type="ext3",
        source="/dev/root",
        options=("rw", "noatime", "errors=continue"),
    )


def test_blanks_and_backslashes_in_names_are_unescaped() -> None:
    mount = parse_mount(r"40 27 0:60 / /mnt/my\040models\134new\011tab rw - cifs //nas/my\040share rw")
    assert mount is not None
    assert (mount.mounted_at, mount.source) == ("/mnt/my models\\new\ttab", "//nas/my share")


def test_a_mount_without_a_source_is_one() -> None:
    mount = parse_mount("40 27 0:60 / /mnt rw,relatime - tmpfs  rw,size=4k")
    assert mount is not None
    assert (mount.source, mount.options) == ("", ("rw", "relatime", "size=4k"))


@given(st.text(alphabet=st.characters(exclude_characters="\n")), st.text(alphabet=" -0:/,\\17abc"))
def test_no_line_is_more_than_none(line: str, other: str) -> None:
    for text in (line, other, f"{NFS} {other}", f"1 2 0:1 / /x rw - {other}"):
        parse_mount(text)


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), min_size=1).map(lambda name: f"/{name}"))
def test_every_name_that_the_kernel_escapes_comes_back(name: str) -> None:
    escaped = "".join(f"\\{ord(letter):03o}" if letter in " \t\n\\#" else letter for letter in name)
    mount = mount_of(table(f"40 27 0:60 / {escaped} rw - tmpfs x rw"), device="0:60", path=f"{name}/cache")
    assert mount is not None
    assert mount.mounted_at == name


def test_the_device_decides_where_one_mount_hides_another() -> None:
    lines = table("41 27 0:23 / /data rw - tmpfs below rw", NFS, "42 41 0:27 / /data rw - tmpfs above rw")
    for device, source in (("0:23", "below"), ("0:27", "above")):
        mount = mount_of(lines, device=device, path="/data/cache")
        assert mount is not None
        assert mount.source == source


def test_of_bind_mounts_the_nearest_above_the_path_counts() -> None:
    lines = table(
        "41 27 8:1 / /srv rw - xfs /dev/sda1 rw",
        "42 27 8:1 /models /opt/models ro,relatime - xfs /dev/sda1 rw",
        "43 27 8:1 /models /opt/models-of-others rw - xfs /dev/sda1 rw",
    )
    read_only = mount_of(lines, device="8:1", path="/opt/models/vitl")
    writable = mount_of(lines, device="8:1", path="/srv/models")
    assert read_only is not None
    assert writable is not None
    assert described(read_only).is_read_only
    assert not described(writable).is_read_only


def test_a_subvolume_whose_device_is_in_no_line_belongs_to_the_nearest_mount() -> None:
    lines = table(
        "41 27 0:38 /@home /home rw,relatime - btrfs /dev/nvme0n1p2 rw,ssd,subvolid=257,subvol=/@home",
        "42 27 0:99 / /homeless rw - nfs4 nas:/x rw",
    )
    mount = mount_of(lines, device="0:57", path="/home/ann/nested/cache")
    assert mount is not None
    assert (mount.type, mount.mounted_at) == ("btrfs", "/home")


def test_of_mounts_at_one_point_the_last_hides_the_others() -> None:
    lines = table("41 27 0:30 / /home rw - autofs systemd-1 rw,fd=29", "42 41 8:7 / /home rw - xfs /dev/sdb1 rw")
    mount = mount_of(lines, device="0:57", path="/home/ann")
    assert mount is not None
    assert mount.type == "xfs"


def test_behind_autofs_is_what_has_been_mounted() -> None:
    lines = table("41 27 0:30 / /home rw - autofs auto.home rw,fd=29,pgrp=1,timeout=300,indirect", NFS)
    mounted, waiting = (mount_of(lines, device=device, path="/home/ann/cache") for device in ("0:52", "0:30"))
    assert mounted is not None
    assert waiting is not None
    assert (mounted.type, waiting.type) == ("nfs4", "autofs")
    assert described(waiting).is_network


def test_a_root_of_ones_own_with_a_device_that_is_mounted_elsewhere_is_that_device() -> None:
    mount = mount_of(table(NFS), device="0:52", path="/elsewhere")
    assert mount is not None
    assert mount.type == "nfs4"


def test_an_empty_table_tells_nothing() -> None:
    assert mount_of("", device="8:1", path="/") is None


# --- what a mount means


@pytest.mark.parametrize(
    ("mount", "network", "locks"),
    [
        ("ext4 /dev/vda rw", False, "flock"),
        ("xfs /dev/mapper/vg-root rw,attr2,inode64", False, "flock"),
        ("btrfs /dev/nvme0n1p2 rw,ssd,subvol=/@home", False, "flock"),
        ("tmpfs tmpfs rw,size=1024k", False, "flock"),
        ("tmpfs nas:/looks/like/a/server rw", False, "flock"),
        ("overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB:/l/CD,upperdir=/u,workdir=/w", False, "flock"),
        ("zfs rpool/home rw,xattr,noacl", False, "flock"),
        ("fuseblk /dev/sdb1 rw,user_id=0", False, "flock"),
        ("fuse.fuse-overlayfs fuse-overlayfs rw", False, "flock"),
        ("squashfs /dev/loop0 ro", False, "flock"),
        ("nfs4 nas:/x rw,vers=4.1,local_lock=none", True, "flock"),
        ("nfs nas:/x rw,vers=3,local_lock=none", True, "flock"),
        ("nfs nas:/x rw,vers=3,nolock,proto=tcp,local_lock=all", True, "soft"),
        ("nfs nas:/x rw,vers=3,local_lock=flock", True, "soft"),
        ("nfs nas:/x rw,vers=3,local_lock=posix", True, "flock"),
        ("lustre 10.0.0.1@tcp:/scratch rw,flock,user_xattr,lazystatfs", True, "flock"),
        ("lustre 10.0.0.1@tcp:/scratch rw,localflock,lazystatfs", True, "soft"),
        ("lustre 10.0.0.1@tcp:/scratch rw,lazystatfs", True, "soft"),
        ("gpfs gpfs0 rw,relatime", True, "flock"),
        ("beegfs beegfs_nodev rw,cfgFile=/etc/beegfs/beegfs-client.conf", True, "soft"),
        ("ceph 10.0.0.1:6789:/ rw,name=admin,secret=<hidden>,acl", True, "flock"),
        ("cifs //nas/share rw,vers=3.1.1,cache=strict,username=ann", True, "flock"),
        ("cifs //nas/share rw,vers=3.1.1,nobrl", True, "soft"),
        ("smb3 //nas/share rw,vers=3.1.1", True, "flock"),
        ("9p drvfs rw,dirsync,aname=drvfs;path=C:\\134,mmap,access=client,msize=65536", True, "flock"),
        ("virtiofs shared rw", True, "soft"),
        ("afs none rw", True, "flock"),
        ("fuse.sshfs ann@host:/data rw,nosuid,nodev,user_id=1000", True, "soft"),
        ("fuse.s3fs s3fs rw,user_id=0,allow_other", True, "soft"),
        ("fuse mountpoint-s3 ro,user_id=0", True, "soft"),
        ("fuse.glusterfs node1:/gv0 rw,user_id=0", True, "flock"),
        ("fuse.nobody-knows-it x rw", True, "soft"),
        ("newfs server:/export rw", True, "flock"),
        ("newfs [fe80::1]:/export rw", True, "flock"),
        ("newfs //server/share rw", True, "flock"),
        ("newfs /dev/sdz rw", None, "flock"),
    ],
)
def test_a_mount_tells_whether_to_map_and_which_lock_to_take(mount: str, network: bool | None, locks: str) -> None:
    system = system_of(f"41 27 0:99 / /mnt rw,relatime - {mount}")
    assert (system.is_network, system.lock_kind) == (network, locks)
    assert system.should_map is not bool(network)


def test_where_nothing_is_known_files_are_mapped_and_locked_as_ever() -> None:
    nothing = FileSystem()
    assert (nothing.should_map, nothing.lock_kind, nothing.is_read_only) == (True, "flock", None)


# --- real file systems


@on_linux
def test_a_real_mount_is_found_and_so_are_its_options(mount: MakeMount) -> None:
    folder = mount("size=1m")
    system = file_system_of(folder)
    assert (system.type, system.source, system.is_network) == ("tmpfs", "depthhub-test", False)
    assert (system.mounted_at, system.is_read_only) == (str(folder.resolve()), False)
    assert "size=1024k" in system.options
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert file_system_of(folder).is_read_only


@pytest.fixture
def bound(mount: MakeMount, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A writable folder, and the same mounted once more, read-only, under a name with a blank."""
    folder, twin = mount("size=1m"), tmp_path / "my models"
    twin.mkdir()
    subprocess.run(["mount", "--bind", str(folder), str(twin)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(twin)], check=True)
    yield folder, twin
    subprocess.run(["umount", "-l", str(twin)], check=True)


@on_linux
def test_a_bind_mount_has_its_own_options(bound: tuple[Path, Path]) -> None:
    writable, read_only = map(file_system_of, bound)
    assert writable.device == read_only.device
    assert (writable.is_read_only, read_only.is_read_only) == (False, True)


@on_linux
def test_a_link_is_followed_to_where_it_leads(mount: MakeMount, tmp_path: Path) -> None:
    folder = mount("size=1m")
    (tmp_path / "link").symlink_to(folder)
    assert file_system_of(tmp_path / "link" / "v1").mounted_at == str(folder.resolve())


def test_a_folder_that_is_not_there_lies_where_it_would_be_made(tmp_path: Path) -> None:
    assert file_system_of(tmp_path / "a" / "b") == file_system_of(tmp_path)
    assert device_of(tmp_path / "a" / "b") == tmp_path.stat().st_dev


@pytest.mark.parametrize("path", [Path("nowhere/at/all"), Path("\0"), Path("/\0/x"), Path("/" + "x" * 5000)])
def test_no_path_is_too_strange(path: Path) -> None:
    file_system_of(path)
    remembered_or_facts(path, lambda _: None)


def test_without_a_table_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "none")
    assert file_system_of(tmp_path).type is None
    assert remembered_or_facts(tmp_path, lambda _: None) == Handling("flock", True)


# --- what a load makes of it


def nfs_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    device = tmp_path.stat().st_dev
    line = f"98 27 {os.major(device)}:{os.minor(device)} / / rw - nfs nas:/x rw,{options}\n"
    (tmp_path / "mountinfo").write_text(line)
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "mountinfo")


@on_linux
def test_the_facts_decide_where_nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nfs_everywhere(tmp_path, monkeypatch, "nolock,local_lock=all")
    assert remembered_or_facts(tmp_path, Store(tmp_path).recall) == Handling("soft", False)


@pytest.mark.parametrize("locks", ["flock", "soft", "none"])
@pytest.mark.parametrize("mapped", [True, False])
def test_what_was_remembered_goes_before_the_facts(store: Store, locks: str, mapped: bool) -> None:
    store.root.mkdir()
    device = device_of(store.root)
    assert device is not None
    store.remember(ref_name(device), {"locks": locks, "map": mapped, "type": "tmpfs"})
    assert remembered_or_facts(store.root, store.recall) == Handling(locks, mapped)  # type: ignore[arg-type]
    assert remembered_or_facts(store.root / "not" / "there", store.recall).locks == locks


@pytest.mark.parametrize(
    "data", [{}, {"locks": "flock"}, {"map": False}, {"locks": "soft", "map": 0}, {"locks": "any", "map": True}]
)
def test_what_was_remembered_in_another_form_is_not_believed(store: Store, data: dict[str, object]) -> None:
    store.root.mkdir()
    device = device_of(store.root)
    assert device is not None
    store.remember(ref_name(device), data)
    facts = file_system_of(store.root)
    assert remembered_or_facts(store.root, store.recall) == Handling(facts.lock_kind, facts.should_map)


def test_what_another_machine_found_on_its_device_of_that_number_means_nothing_here(store: Store) -> None:
    store.root.mkdir()
    device = device_of(store.root)
    assert device is not None
    elsewhere = ref_name(device).replace(Owner.current().host, "other.0badc0de")
    store.remember(elsewhere, {"locks": "none", "map": False})
    assert remembered_or_facts(store.root, store.recall) == Handling("flock", True)


def test_it_costs_a_load_next_to_nothing(store: Store) -> None:
    store.root.mkdir()
    best = 1.0
    for _ in range(100):
        began = time.thread_time()  # what else the machine has to do is not its cost
        remembered_or_facts(store.root, store.recall)
        best = min(best, time.thread_time() - began)
    assert best < 0.001
