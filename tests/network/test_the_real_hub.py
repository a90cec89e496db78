"""Against the real Hugging Face Hub: skipped unless asked for with `-m network`."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub import from_pretrained, hub
from depthhub.catalog import Catalog, CatalogEntry
from depthhub.settings import Settings

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

PHOTO = Path(__file__).parent.parent.parent / "docs" / "images" / "coffee.jpg"


@pytest.mark.parametrize("entry", [entry for entry in Catalog.load() if entry.build], ids=lambda entry: entry.name)
def test_the_hub_serves_what_the_catalog_says(entry: CatalogEntry, tmp_path: Path) -> None:
    listing = hub.list_files(
        entry.repo_id,
        repo_type=entry.repo_type,
        revision=entry.revision or entry.revision_hint,
        settings=Settings.resolve(cache_dir=tmp_path),
    )
    [file] = [file for file in listing.files if file.filename == entry.filename]
    assert file.sha256 == (entry.sha256 or entry.sha256_hint or file.sha256)
    assert file.size == (entry.size or file.size)


def test_vits_sees_that_the_cup_is_near(tmp_path: Path) -> None:
    from PIL import Image

    photo = Image.open(PHOTO)
    depth = from_pretrained("vits", cache_dir=tmp_path).infer(photo)
    assert depth.shape == (photo.height, photo.width)
    cup, corner_behind = depth[150:250, 280:340].mean(), depth[:60, :60].mean()
    assert cup > 1.5 * corner_behind  # relative inverse depth: near is large
