"""The step `manifest`: all assets read and held against what they must be; `manifest.json`, `SHA256SUMS`, the notes.

It is the gate before an upload: what is not named here is not uploaded, and what may not be uploaded stops it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from depthhub.catalog import Catalog, CatalogEntry
from depthhub.checkpoint.recipe import Recipe
from depthhub.lockfile import FILE_NAME, LockedModel, Lockfile
from depthhub.whole_file import whole_file
from depthhub_cache.errors import RemoteError
from depthhub_cache.identity import ContentHash, make_key
from depthhub_cache.remote import RemoteStore

from .assets import Asset, asset_of, require_only, require_together, sums_text
from .errors import ReleaseError
from .licences import require_redistributable, stated_sha256, why_withheld
from .models import files_of, known_catalog, model_files
from .notes import notes
from .packages import package_names, require_of_the_commit
from .release import Release

VERSION = 1


def make_manifest(release: Release) -> tuple[Asset, ...]:
    """The assets of the release, `manifest.json` and `SHA256SUMS` among them.

    Raises ReleaseError where something is missing, is there besides, is not what it says, or may not be uploaded.
    """
    catalog = known_catalog()
    packages = package_names(release.checkout.version)
    require_only(release.packages, packages)
    require_of_the_commit(release)
    locked = Lockfile.read(release.models / FILE_NAME).models
    for model in locked:
        require_redistributable(model, catalog)
    require_only(release.models, model_files(locked))
    made = [asset_of(release.packages / name) for name in packages]
    made += [asset_of(release.models / name) for name in sorted(model_files(locked))]
    by_name = {asset.name: asset for asset in made}
    for model in locked:
        _require_sound(model, by_name[files_of(model)["weights"]], release)
    withheld = [_withheld(entry, reason) for entry, reason in _not_released(catalog, locked)]
    manifest = {
        "manifest": VERSION,
        "tag": release.tag,
        "version": release.checkout.version,
        "repository": release.repository,
        "commit": release.checkout.commit,
        "time": release.time,
        "packages": list(packages),
        "models": [{**model.to_json(), "files": dict(files_of(model))} for model in locked],
        "withheld": withheld,
        "assets": [asset.to_json() for asset in require_together(made)],
    }
    _put(release.manifest, json.dumps(manifest, indent=2) + "\n")
    listed = require_together([*made, asset_of(release.manifest)])
    _put(release.sums, sums_text(listed))
    _put(release.notes, notes(release, locked, withheld))
    return require_together([*listed, asset_of(release.sums)])


def _require_sound(model: LockedModel, weights: Asset, release: Release) -> None:
    """Raises ReleaseError where the folder, read as the remote store that it will be, has not what is locked."""
    try:
        record = _remote(release).record(model.key)
    except RemoteError as error:
        raise ReleaseError(f"{error} Run `scripts/release models` again.") from error
    if record is None:
        raise ReleaseError(f"There is no record of {model.source}. Run `scripts/release models` again.")
    _require_the_same("sha256 of the weights", record.weights_sha256, model.weights_sha256, model)
    _require_the_same("sha256 of the weights", weights.sha256, model.weights_sha256, model)
    _require_the_same("size of the weights", weights.size, record.weights_size, model)
    _require_the_same("time", record.created_at, release.time, model)
    _require_the_same("checkpoint", record.about.get("content_hash"), model.sha256, model)
    _require_the_same("licence", record.about.get("licence"), model.licence, model)


def _remote(release: Release) -> RemoteStore:
    return RemoteStore(str(release.models), connect_timeout=60, stall_timeout=600, total_timeout=3600)


def _require_the_same(what: str, found: object, expected: object, model: LockedModel) -> None:
    if found != expected:
        raise ReleaseError(
            f"{model.source}: the {what} is {found}, and {expected} is locked, or is that of the commit. "
            "Run `scripts/release models` again."
        )


def _not_released(catalog: Catalog, locked: tuple[LockedModel, ...]) -> Iterator[tuple[CatalogEntry, str]]:
    """What could be loaded and is not in the release, and why not."""
    released = {model.name for model in locked}
    for entry in catalog:
        if entry.build is not None and entry.name not in released:
            yield entry, why_withheld(entry, catalog) or "It was not chosen for this release."


def _withheld(entry: CatalogEntry, reason: str) -> dict[str, Any]:
    """A model by its digests alone: of the checkpoint, and of what depthhub makes of it."""
    sha256 = stated_sha256(entry)
    recipe = Recipe(entry.require_supported())
    return {
        "name": entry.name,
        "licence": entry.licence,
        "licence_disputed": entry.licence_disputed,
        "reason": reason,
        "repo_id": entry.repo_id,
        "repo_type": entry.repo_type,
        "filename": entry.filename,
        "sha256": sha256,
        "size": entry.size,
        "key": make_key(ContentHash(sha256), recipe.to_json()) if sha256 else None,
    }


def _put(path: Any, text: str) -> None:
    with whole_file(path, replace=True) as staged:
        staged.write(text.encode())
