"""The steps `upload` and `publish`: into a draft that nobody sees, and from there to everybody.

What GitHub has is the state: an asset that is there with the same digest is kept, one that differs stops the release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .assets import Asset, asset_of, parse_sums, require_together
from .errors import ReleaseError
from .github import GitHub, OnGitHub, Uploaded
from .release import Release

_PRERELEASE = re.compile(r"(a|b|rc|\.dev)\d+$")


def upload(release: Release, github: GitHub, tell: Callable[[str], None]) -> OnGitHub:
    """Bring every asset into the draft of the release. Raises ReleaseError; what was uploaded until then stays.

    Of a release that everybody sees nothing is changed: it has all of them already, or that is an error.
    """
    assets = listed_assets(release)
    _require_tag(release, github)
    there = github.draft(
        release.tag,
        name=release.tag,
        notes=release.notes.read_text(encoding="utf-8"),
        is_prerelease=is_prerelease(release.checkout.version),
    )
    uploaded = github.assets(there)
    _require_none_else(uploaded, assets, release)
    missing = [asset for asset in assets if asset.name not in uploaded or not uploaded[asset.name].is_same(asset)]
    _require_uploadable(missing, uploaded, there)
    for asset in missing:
        tell(f"uploading {asset.name}, {asset.size:,} bytes")
        github.put(there, asset)
    tell(f"{len(assets) - len(missing)} of {len(assets)} assets were there already")
    return there


def publish(release: Release, github: GitHub) -> OnGitHub:
    """Show the draft to everybody, if it holds exactly what is listed. Needs `SHA256SUMS` and the notes alone."""
    sums = _sums(release)
    _require_tag(release, github)
    there = github.find(release.tag)
    if there is None:
        raise ReleaseError(f"There is no draft of {release.tag}. Run `scripts/release upload` first.")
    uploaded = github.assets(there)
    _require_none_else(uploaded, sums, release)
    for name, sha256 in sums.items():
        found = uploaded.get(name)
        if found is None or not found.is_whole or found.sha256 != sha256:
            what = (
                "is not there"
                if found is None
                else f"has sha256 {found.sha256} there"
                if found.is_whole
                else "is half there"
            )
            raise ReleaseError(f"{name} {what}, and {sha256} is listed. Run `scripts/release upload` first.")
    return github.show(there, notes=release.notes.read_text(encoding="utf-8")) if there.is_draft else there


def is_prerelease(version: str) -> bool:
    """Whether a version comes before the final one, as 1.2.0rc1 does."""
    return _PRERELEASE.search(version) is not None


def listed_assets(release: Release) -> tuple[Asset, ...]:
    """The files that `SHA256SUMS` lists, each read and found to be the one that is listed, and `SHA256SUMS`."""
    assets = []
    for name, sha256 in _sums(release).items():
        path = next((folder / name for folder in _folders(release) if (folder / name).is_file()), None)
        if path is None:
            raise ReleaseError(f"{name} is listed in {release.sums.name}, and is not in {release.out}.")
        asset = asset_of(path)
        if asset.sha256 != sha256 and path != release.sums:
            raise ReleaseError(
                f"{path} has sha256 {asset.sha256}, and {sha256} is listed. Run `scripts/release manifest`."
            )
        assets.append(asset)
    return require_together(assets)


def _folders(release: Release) -> tuple[Path, ...]:
    return (release.packages, release.models, release.out)


def _sums(release: Release) -> Mapping[str, str]:
    """Name -> sha256 of all that is to be there, `SHA256SUMS` too."""
    try:
        own = asset_of(release.sums)
    except FileNotFoundError as error:
        raise ReleaseError(f"There is no {release.sums}. Run `scripts/release manifest` first.") from error
    return {**parse_sums(release.sums.read_text(encoding="ascii")), own.name: own.sha256}


def _require_tag(release: Release, github: GitHub) -> None:
    commit = github.commit_of(release.tag)
    if commit != release.checkout.commit:
        where = f"at commit {commit}" if commit else "not there"
        raise ReleaseError(
            f"On GitHub the tag {release.tag} is {where}, and {release.checkout.commit} is checked out. What was made "
            "here is not what the tag says."
        )


def _require_none_else(
    uploaded: Iterable[str], expected: Iterable[Asset] | Mapping[str, str], release: Release
) -> None:
    names = {item.name if isinstance(item, Asset) else item for item in expected}
    if extra := sorted(set(uploaded) - names):
        raise ReleaseError(f"The release {release.tag} holds what is not listed: {', '.join(extra)}. Remove it there.")


def _require_uploadable(missing: Sequence[Asset], uploaded: Mapping[str, Uploaded], there: OnGitHub) -> None:
    """Raises ReleaseError where an upload would replace something whole, or change what everybody sees."""
    if missing and not there.is_draft:
        names = ", ".join(asset.name for asset in missing)
        raise ReleaseError(f"The release is public, and {names} would change it. What is public stays: {there.page}")
    for asset in missing:
        found = uploaded.get(asset.name)
        if found is not None and found.is_whole and found.sha256 is not None:
            raise ReleaseError(
                f"{asset.name} is in the draft with sha256 {found.sha256}, and is {asset.sha256} here. Find out which "
                f"is right; to begin anew, remove the draft: {there.page}"
            )
