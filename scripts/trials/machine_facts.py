"""Where a trial ran: what a reader needs to judge its figures."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("depthhub", "torch", "huggingface_hub", "filelock", "safetensors")


def machine_facts(folder: Path) -> dict[str, str]:
    """The machine, the file system that `folder` is on, and the versions."""
    packages = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)))
    return {
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()} ({platform.machine()})",
        "file system": file_system_of(folder),
        "versions": f"Python {platform.python_version()}, {packages}",
    }


def file_system_of(folder: Path) -> str:
    """Its type as Linux calls it: of the mount nearest to `folder`; elsewhere `not known`."""
    try:
        mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return "not known"
    place, nearest, kind = folder.resolve(), Path("/"), "not known"
    for mount, source in mounts:
        at = Path(mount.split()[4].encode().decode("unicode_escape"))
        if place.is_relative_to(at) and len(at.parts) >= len(nearest.parts):
            nearest, kind = at, source.split()[0]
    return kind


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
