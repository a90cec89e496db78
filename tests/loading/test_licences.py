"""`DEPTHHUB_ALLOW_LICENSES` refuses every other licence, on whatever way the weights come, and says who states it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub import LicenceError, SettingsError, from_pretrained, lock, prewarm
from depthhub.conversion import convert_file
from depthhub.planning import plan
from depthhub.steps.request import Request
from depthhub.testing import LocalHub, make_checkpoint
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REPO, FILE, NAME = "owner/repo", "tiny.pth", "tiny-nc"
CARD = b"---\nlicense: MIT\n---\n"

Allow = Callable[[str], None]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Allow:
    return lambda names: monkeypatch.setenv("DEPTHHUB_ALLOW_LICENSES", names)


@pytest.fixture
def hub(local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """A catalog knows `tiny` by its bytes, as cc-by-nc-4.0. Beside it a repository that the catalog does not know."""
    local_hub.add_file(REPO, FILE, tiny)
    local_hub.add_file("me/forest", "README.md", CARD, lfs=False)
    local_hub.add_file("me/forest", "forest.pth", make_checkpoint(tmp_path / "forest.pth", encoder="tiny", seed=7))
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    known = checkpoint(NAME, repo_id=REPO, filename=FILE, sha256=digest, size=tiny.stat().st_size)
    known |= {"licence": "cc-by-nc-4.0", "licence_disputed": True, "licence_note": "The card says apache-2.0."}
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", known)))
    return local_hub


def test_it_is_refused_before_anything_is_fetched_with_model_licence_and_who_states_it(
    hub: LocalHub, cache: Path, allow: Allow
) -> None:
    allow("apache-2.0, MIT")
    for call in (from_pretrained, lambda name: prewarm([name]), lambda name: plan(Request.parse(name))):
        with pytest.raises(LicenceError) as caught:
            call(NAME)
        error = caught.value
        assert (error.source, error.licence, list(error.allowed)) == (NAME, "cc-by-nc-4.0", ["apache-2.0", "mit"])
        assert error.stated_by.startswith(f"the catalog, of {NAME}")
        for part in (NAME, "cc-by-nc-4.0", error.stated_by, "disputed", "The card says apache-2.0", "apache-2.0, mit"):
            assert part in str(error)
    assert hub.requests == []


def test_what_is_in_the_cache_already_is_refused_too(hub: LocalHub, cache: Path, allow: Allow) -> None:
    prewarm([NAME])
    allow("apache-2.0")
    for call in (from_pretrained, lambda name: prewarm([name])):
        with pytest.raises(LicenceError):
            call(NAME)
    allow("cc-by-nc-4.0")
    from_pretrained(NAME)


def test_in_a_tier_that_is_only_read_too(
    hub: LocalHub, tmp_path: Path, allow: Allow, monkeypatch: pytest.MonkeyPatch
) -> None:
    prewarm([NAME], cache_dir=tmp_path / "image")
    monkeypatch.setenv("DEPTHHUB_CACHE", f"{tmp_path / 'own'}{os.pathsep}{tmp_path / 'image'}")
    assert prewarm([NAME])[0].cached
    allow("apache-2.0")
    with pytest.raises(LicenceError):
        from_pretrained(NAME)


def test_out_of_a_remote_store_too(
    hub: LocalHub, tmp_path: Path, allow: Allow, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf").mkdir()
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(tmp_path / "shelf"))
    with monkeypatch.context() as job:
        job.setenv("DEPTHHUB_PUSH", "1")
        prewarm([NAME], cache_dir=tmp_path / "job")
    allow("apache-2.0")
    with pytest.raises(LicenceError):
        prewarm([NAME], cache_dir=tmp_path / "machine")
    assert not (tmp_path / "machine" / "v1" / "entries").exists()


def test_a_file_of_this_machine_is_known_by_its_bytes_whatever_its_name(
    hub: LocalHub, tiny: Path, tmp_path: Path, cache: Path, allow: Allow
) -> None:
    renamed = tmp_path / "mine.pth"
    renamed.write_bytes(tiny.read_bytes())
    allow("apache-2.0")
    with pytest.raises(LicenceError, match=f"of {NAME}"):
        from_pretrained(renamed)
    with pytest.raises(LicenceError, match=f"of {NAME}"):
        convert_file(renamed, tmp_path / "mine.safetensors")
    assert not (tmp_path / "mine.safetensors").exists()


def test_the_same_bytes_under_another_card_have_the_licence_that_they_have(
    hub: LocalHub, tiny: Path, cache: Path, allow: Allow
) -> None:
    hub.add_file("me/copied", "README.md", CARD, lfs=False)
    hub.add_file("me/copied", "copied.pth", tiny)
    allow("mit")
    hub.clear_log()
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        from_pretrained("me/copied", family="v2")
    assert [request for request in hub.requests if "resolve" in request.path] == []


def test_a_model_has_the_licence_of_the_place_that_it_was_asked_of(
    local_hub: LocalHub, tiny: Path, cache: Path
) -> None:
    """The entry is one, and its record has that of the first."""
    licences = {"me/a": "mit", "me/b": "cc-by-4.0", "me/c": None}
    for repo, licence in licences.items():
        if licence is not None:
            local_hub.add_file(repo, "README.md", f"---\nlicense: {licence}\n---\n".encode(), lfs=False)
        local_hub.add_file(repo, "w.pth", tiny)
    made = [from_pretrained(f"{repo}/w.pth", family="v2").provenance for repo in licences]
    assert len({one.path for one in made}) == 1
    assert {one.repo_id: one.licence for one in made} == licences
    assert from_pretrained(tiny, family="v2").provenance.licence is None


def test_where_only_the_download_tells_the_bytes_it_is_refused_after_it(
    hub: LocalHub, tiny: Path, cache: Path, allow: Allow
) -> None:
    """A file outside of LFS: the Hub has no sha256 of it."""
    hub.add_file("me/small", "README.md", CARD, lfs=False)
    hub.add_file("me/small", "small.pth", tiny, lfs=False)
    allow("mit")
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        from_pretrained("me/small", family="v2")
    assert list(Store(cache).entries()) == []


def test_outside_of_the_catalog_the_card_counts(hub: LocalHub, cache: Path, allow: Allow) -> None:
    allow("apache-2.0")
    with pytest.raises(LicenceError, match="the card of me/forest on the Hub"):
        from_pretrained("me/forest", family="v2")
    allow("mit")
    assert from_pretrained("me/forest", family="v2").provenance.licence == "mit"
    allow("apache-2.0")
    with pytest.raises(LicenceError, match="mit"):  # it is remembered with the branch: nobody is asked again
        from_pretrained("me/forest", family="v2", offline=True)


def test_what_nobody_states_is_unknown_and_allowed_only_by_that_word(
    hub: LocalHub, tmp_path: Path, cache: Path, allow: Allow
) -> None:
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=8)
    hub.add_file("me/silent", "silent.pth", other)
    for source in ("me/silent", other):
        allow("mit")
        with pytest.raises(LicenceError, match=r"not known, as stated by nobody.*add unknown") as caught:
            from_pretrained(source, family="v2")
        assert caught.value.licence is None
        allow("mit,unknown")
        from_pretrained(source, family="v2")


def test_of_what_is_locked_too_and_a_forged_lockfile_helps_nobody(
    hub: LocalHub, tmp_path: Path, cache: Path, allow: Allow
) -> None:
    lockfile = tmp_path / "depthhub.lock"
    (locked,) = lock([NAME], lockfile).models
    assert locked.licence == "cc-by-nc-4.0"
    allow("apache-2.0")
    for edit in ("cc-by-nc-4.0", "apache-2.0"):
        lockfile.write_text(lockfile.read_text().replace("cc-by-nc-4.0", edit))
        with pytest.raises(LicenceError, match="the catalog"):
            prewarm(lockfile=lockfile)
    with pytest.raises(LicenceError):
        lock([NAME], lockfile)


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("v2-vitl", "cc-by-nc-4.0"),
        ("v2-metric-hypersim-vitl", "cc-by-nc-4.0"),  # one project reads its card as apache-2.0
        ("v2-metric-vkitti-vits", "cc-by-nc-sa-3.0"),  # that of its training data, by one project
    ],
)
def test_of_what_is_disputed_the_strictest_reading_counts(name: str, licence: str, cache: Path, allow: Allow) -> None:
    allow("apache-2.0,mit")
    assert plan(Request.parse("v2-vits")).licence == "apache-2.0"
    with pytest.raises(LicenceError) as caught:
        plan(Request.parse(name))
    assert caught.value.licence == licence


def test_a_list_of_no_licences_is_a_setting_that_is_wrong(hub: LocalHub, cache: Path, allow: Allow) -> None:
    allow(" , ")
    with pytest.raises(SettingsError, match="DEPTHHUB_ALLOW_LICENSES"):
        from_pretrained(NAME)
    assert hub.requests == []
