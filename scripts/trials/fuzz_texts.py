"""Strange names of sources and owners, settings, and tables of mounts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress

from depthhub import quantities, source
from depthhub.errors import SettingsError, SourceError
from depthhub.settings import Settings
from depthhub_cache.mounts import mount_of
from depthhub_cache.owner import Owner

from . import bombs
from .fuzz_target import Target
from .mutations import Mutator


def sources(chance: random.Random) -> Target:
    sound = [
        *(b"vitl", b"v2-vitl@main", b"owner/repo", b"owner/repo/dir/file.pth", b"owner/repo@v1.0", b"./x.pth"),
        *(b"spaces/owner/repo/file.pth@refs/pr/3", b"hf://owner/repo@v1.0/dir/file.pth", b"C:\\x.pth", b"~/x.pth"),
        *(b"https://huggingface.co/owner/repo/resolve/main/x.pth", b"hf://owner/repo@refs%2Fpr%2F3/file.safetensors"),
    ]
    tokens = [b"@", b"/", b"..", b"//", b"hf://", b"spaces/", b"refs/pr/", b"%2F", b".pth", b"~", b"\\", b"\n", b"main"]

    def parse(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        found = source.parse(text)
        assert source.parse(str(found)) == found

    mutator = Mutator(chance, tokens=[*tokens, "é".encode(), b"\xff", b"\xe2\x80\xae"])
    return Target(
        name="names of sources",
        share=110,
        sound=sound,
        change=mutator.bytes,
        parse=parse,
        refusals=(SourceError,),
        bombs=bombs.texts(tokens),
    )


_VARIABLES = (
    *("DEPTHHUB_MAX_SIZE", "DEPTHHUB_MAX_AGE", "DEPTHHUB_MAP_WEIGHTS", "DEPTHHUB_CACHE", "DEPTHHUB_CATALOG"),
    *("HF_ENDPOINT", "HF_HUB_OFFLINE", "DEPTHHUB_STALL_TIMEOUT", "DEPTHHUB_LOCK_TIMEOUT", "DEPTHHUB_KEEP_SOURCE"),
)


def settings(chance: random.Random) -> Target:
    values = [b"20GB", b"1.5 TiB", b"90d", b"12h", b"/a:/b", b"~/x", b"auto", b"http://[::1]:80", b"https://hub", b"30"]
    sound = [f"{name}={value.decode()}".encode() for name in _VARIABLES for value in values]
    tokens = [*values, b"~nobody", b":", b"-1", b"nan", b"inf", b"1e400", b"0x1", b"1_0", "٣".encode(), "²".encode()]

    def parse(data: bytes) -> None:
        name, _, value = data.decode("utf-8", "surrogateescape").partition("=")
        for read in (quantities.parse_bytes, quantities.parse_age):
            with suppress(ValueError):
                assert read(value) >= 0
        found = Settings.resolve(env={"DEPTHHUB_CACHE": "/x", name: value})
        assert found.cache_dir.is_absolute()
        assert found.max_size is None or found.max_size >= 0

    mutator = Mutator(chance, tokens=tokens)

    def change(data: bytes, others: Sequence[bytes]) -> bytes:
        name, _, value = data.partition(b"=")
        return name + b"=" + mutator.bytes(value, [other.partition(b"=")[2] for other in others[:20]])

    return Target(
        name="settings",
        share=50,
        sound=sound,
        change=change,
        parse=parse,
        refusals=(SettingsError,),
        bombs=bombs.texts(tokens, b"DEPTHHUB_MAX_SIZE=") + bombs.texts(tokens, b"HF_ENDPOINT="),
    )


def mounts(chance: random.Random) -> Target:
    sound = [
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
        b"41 36 0:33 / /home/a\\040b rw shared:7 - nfs4 server:/export rw,nolock\n",
        b"22 1 0:21 / / rw - overlay overlay rw,lowerdir=/a\\134b\n23 22 0:5 / /a rw - fuse.sshfs me@host: rw\n",
    ]
    tokens = [b" - ", b"\\040", b"\\777", b"\\999", b"\n", b" ", b"0:33", b"/home", b"shared:1 ", b","]

    def parse(data: bytes) -> None:
        table = data.decode("utf-8", "surrogateescape")
        for device, path in (("98:0", "/mnt2/x"), ("0:33", "/home/a b/c"), ("1:1", "/")):
            mount_of(table, device=device, path=path)

    return Target(
        name="tables of mounts",
        share=30,
        sound=sound,
        change=Mutator(chance, tokens=tokens).bytes,
        parse=parse,
        refusals=(),
        bombs=bombs.texts([*tokens, *sound]),
    )


def owners(chance: random.Random) -> Target:
    sound = [str(Owner.current()).encode(), b"host.0123abcd-1-99999999999", b"host-99999999999999999999-0"]

    def parse(data: bytes) -> None:
        found = Owner.parse(data.decode("utf-8", "surrogateescape"))
        assert found is None or isinstance(found.is_gone(), bool)

    return Target(
        name="names of owners",
        share=20,
        sound=sound,
        change=Mutator(chance, tokens=[b"-", b"0", b"9" * 20, str(Owner.current()).encode()]).bytes,
        parse=parse,
        refusals=(),
        bombs=bombs.texts([b"a", b"-", b"1", b"a-1-"]),
    )
