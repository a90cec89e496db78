"""The step `build`: an sdist and a wheel of exactly what is committed, the same bytes whenever and wherever."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from depthhub.whole_file import whole_file

from .errors import ReleaseError
from .release import Release


def build_packages(release: Release) -> tuple[Path, Path]:
    """The sdist of the commit, and the wheel of that sdist: what a user would make of it. Both replace what was there.

    Raises ReleaseError where they cannot be built, have another version, or do not work once installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = _committed(release, Path(folder) / "source")
        sdist = _built("sdist", source, Path(folder) / "sdist", release)
        wheel = _built("wheel", _unpacked(sdist, Path(folder) / "unpacked"), Path(folder) / "wheel", release)
        for package in (sdist, wheel):
            if package.name not in package_names(release.checkout.version):
                raise ReleaseError(
                    f"{package.name} was built, which is no name for version {release.checkout.version}."
                )
        _require_working(wheel, release.checkout.version, Path(folder) / "installed")
        _put((sdist, wheel), release.packages)
    return release.packages / sdist.name, release.packages / wheel.name


def package_names(version: str) -> tuple[str, str]:
    """Of the sdist and the wheel."""
    return f"depthhub-{version}.tar.gz", f"depthhub-{version}-py3-none-any.whl"


def require_of_the_commit(release: Release) -> None:
    """Raises ReleaseError where a package was built of another commit: what is in it bears the time of its commit."""
    sdist, wheel = (release.packages / name for name in package_names(release.checkout.version))
    time = release.checkout.time
    try:
        with tarfile.open(sdist) as archive:
            is_of_it = {member.mtime for member in archive} == {time}
        with zipfile.ZipFile(wheel) as zipped:
            stated = {member.date_time for member in zipped.infolist()}
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise ReleaseError(f"A package is damaged: {error}. Run `scripts/release build` again.") from error
    year, month, day, hour, minute, second = datetime.fromtimestamp(time, timezone.utc).timetuple()[:6]
    if not is_of_it or stated != {(year, month, day, hour, minute, second // 2 * 2)}:
        raise ReleaseError(f"The packages are not of commit {release.checkout.commit}. Run `scripts/release build`.")


def _committed(release: Release, folder: Path) -> Path:
    """What is committed, and nothing that only lies about."""
    command = ["git", "archive", "--format=tar", release.checkout.commit]
    done = subprocess.run(command, cwd=release.checkout.root, capture_output=True, check=False)
    if done.returncode:
        raise ReleaseError(f"`git archive` failed: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _unpacked(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


def _built(target: str, source: Path, folder: Path, release: Release) -> Path:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(release.checkout.time)}
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    _run(command, f"the {target} cannot be built", source, environment)
    (package,) = folder.iterdir()
    return package


def _require_working(wheel: Path, version: str, folder: Path) -> None:
    """Install it without what it needs, and ask it for its version and for the models it knows: data and all."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    _run([*install, str(wheel)], f"{wheel.name} cannot be installed", folder.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DEPTHHUB_"))}
    command = [sys.executable, "-c", _QUESTIONS, str(folder), version]
    _run(command, f"{wheel.name} does not work", folder.parent, environment)


_QUESTIONS = """
import sys
from importlib.metadata import distributions
folder, version = sys.argv[1:]
sys.path.insert(0, folder)
import depthhub, depthhub_cache
from depthhub.cli import main
assert depthhub.__file__.startswith(folder) and depthhub_cache.__file__.startswith(folder), depthhub.__file__
assert [found.version for found in distributions(name="depthhub", path=[folder])] == [version]
assert depthhub.list_models()
assert main(["list", "--json"]) == 0
"""


def _run(command: list[str], problem: str, folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{problem}: {(done.stderr or done.stdout).strip()}")


def _put(packages: Iterable[Path], folder: Path) -> None:
    """Both are new, or one is missing, which is seen."""
    if folder.is_dir():
        for former in folder.iterdir():
            former.unlink()
    for package in packages:
        with whole_file(folder / package.name, replace=True) as staged:
            staged.write(package.read_bytes())
