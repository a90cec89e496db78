"""Under a lockfile nothing is loaded but what is written there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthhub import FamilyError, IntegrityError, LicenceError, NotLockedError, from_pretrained, lock, prewarm, resolve
from depthhub.lockfile import Lockfile
from depthhub.progress import Progress
from depthhub.resolution import locate
from depthhub.testing import LocalHub, make_checkpoint
from depthhub_cache.identity import make_key
from depthhub_cache.store import Store

from .models import FILE, REPO

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_a_locked_branch_is_the_commit_that_was_locked_wherever_it_points_now(
    locked: Path, hub: LocalHub, tmp_path: Path
) -> None:
    commit = Lockfile.read(locked).models[0].commit
    hub.add_file(REPO, FILE, make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=7))
    hub.clear_log()
    model = from_pretrained(REPO, lockfile=locked, cache_dir=tmp_path / "elsewhere")
    assert model.provenance.commit == commit
    assert [request.path for request in hub.requests if "/api/" in request.path] == []  # nobody is asked


@pytest.mark.parametrize("source", [REPO, f"{REPO}@main", f"{REPO}/{FILE}", f"hf://{REPO}@main/{FILE}"])
def test_whoever_means_the_locked_file_gets_it(locked: Path, source: str, hub: LocalHub) -> None:
    hub.close()
    assert from_pretrained(source, lockfile=locked).provenance.repo_id == REPO


def test_a_repository_is_none_of_its_locked_files(hub: LocalHub, cache: Path, tmp_path: Path) -> None:
    """Without a lockfile its one model.safetensors is meant; with it, too, or nothing is."""
    port = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", seed=1, container="safetensors")
    hub.add_file("me/two", "a.pth", make_checkpoint(tmp_path / "a.pth", encoder="tiny"))
    hub.add_file("me/two", "model.safetensors", port)
    path = tmp_path / "depthhub.lock"
    both = ["me/two/a.pth", "me/two/model.safetensors"]
    lock(both, path, family="v2")
    for source in both:
        assert from_pretrained(source, family="v2", lockfile=path).provenance.filename == source.rpartition("/")[2]
    for sources in (both, both[:1]):
        lock(sources, path, family="v2")
        with pytest.raises(NotLockedError, match="me/two is not in the lockfile"):
            from_pretrained("me/two", family="v2", lockfile=path)
    lock(["me/two"], path, family="v2")
    assert from_pretrained("me/two", family="v2", lockfile=path).provenance.filename == "model.safetensors"
    assert from_pretrained(both[1], family="v2", lockfile=path).provenance.filename == "model.safetensors"
    with pytest.raises(NotLockedError):
        from_pretrained(both[0], family="v2", lockfile=path)


def test_two_dtypes_of_a_source_may_be_of_two_commits(locked: Path, hub: LocalHub, tmp_path: Path) -> None:
    hub.add_file(REPO, FILE, make_checkpoint(tmp_path / "newer.pth", encoder="tiny", seed=1))
    lock([REPO], locked, add=True, family="v2", dtype="float16")
    plain, half = Lockfile.read(locked).models
    assert plain.commit != half.commit
    assert from_pretrained(REPO, lockfile=locked).provenance.commit == plain.commit
    assert from_pretrained(REPO, lockfile=locked, dtype="float16").provenance.commit == half.commit
    prewarm(lockfile=locked, cache_dir=tmp_path / "elsewhere")


def test_its_very_commit_may_be_said(locked: Path, hub: LocalHub) -> None:
    commit = Lockfile.read(locked).models[0].commit
    hub.close()
    assert from_pretrained(REPO, revision=commit, lockfile=locked).provenance.commit == commit


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("vits", {}),
        ("me/field", {}),
        (f"{REPO}@v2", {}),
        (f"{REPO}/other.pth", {}),
        (f"spaces/{REPO}", {}),
        (REPO, {"dtype": "float16"}),
    ],
)
def test_what_is_not_locked_is_refused_before_anything_is_asked(
    locked: Path, hub: LocalHub, source: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(locked))
    hub.clear_log()
    for call in (from_pretrained, locate, lambda source, **options: prewarm([source], **options)):
        with pytest.raises(NotLockedError) as caught:
            call(source, **options)
        assert caught.value.path == locked
        assert "depthhub lock" in str(caught.value)
    assert hub.requests == []


def test_another_family_than_the_locked_one_is_a_contradiction(locked: Path) -> None:
    with pytest.raises(FamilyError, match="the lockfile"):
        from_pretrained(REPO, family="v1", lockfile=locked)


def test_a_file_here_is_used_exactly_where_its_entry_is_locked(locked: Path, tiny: Path, tmp_path: Path) -> None:
    assert from_pretrained(tiny, family="v2", lockfile=locked).provenance.key == Lockfile.read(locked).models[0].key
    with pytest.raises(NotLockedError, match="as v2 in the dtype of the checkpoint"):
        from_pretrained(tiny, family="v1", lockfile=locked)
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=7)
    with pytest.raises(NotLockedError):
        from_pretrained(other, family="v2", lockfile=locked)


def test_an_entry_with_other_weights_than_the_locked_ones_is_refused_and_stays(
    edited: Callable[..., Path], cache: Path
) -> None:
    path = edited(weights_sha256="0" * 64)
    with pytest.raises(IntegrityError) as caught:
        from_pretrained(REPO, lockfile=path)
    assert caught.value.expected == "0" * 64
    assert len(list(Store(cache).entries())) == 1


@pytest.mark.parametrize("place", ["poisoned", "own/poisoned"])
def test_in_a_tier_that_is_only_read_it_is_passed_by(
    locked: Path, cache: Path, tmp_path: Path, hub: LocalHub, place: str
) -> None:
    poisoned = tmp_path / place
    (entry,) = Store(cache).entries()
    with Store(poisoned).stage() as staging:
        with staging.file("weights.safetensors") as staged:
            content = bytearray(entry.weights.read_bytes())
            content[-1] ^= 1
            staged.write(bytes(content))
        Store(poisoned).publish(entry.key, staging, about=entry.record.about)
    places = f"{tmp_path / 'own'}:{poisoned}"
    with pytest.MonkeyPatch.context() as in_force:
        in_force.setenv("DEPTHHUB_LOCKFILE", str(locked))
        assert locate(REPO, cache_dir=places) is None
        assert resolve(REPO, cache_dir=places).path is None
    (made,) = prewarm([REPO], lockfile=locked, cache_dir=places)
    assert (made.cached, made.path.is_relative_to(tmp_path / "own" / "v1")) == (False, True)
    assert made.path.read_bytes() == entry.weights.read_bytes()


def test_a_conversion_that_gives_other_weights_is_not_published(
    edited: Callable[..., Path], tmp_path: Path, hub: LocalHub
) -> None:
    path = edited(weights_sha256="0" * 64)
    with pytest.raises(IntegrityError, match="this conversion"):
        from_pretrained(REPO, lockfile=path, cache_dir=tmp_path / "new")
    assert list(Store(tmp_path / "new").entries()) == []


def test_a_checkpoint_that_is_not_the_locked_one_is_refused(locked: Path, hub: LocalHub, tmp_path: Path) -> None:
    """The commit is kept, but its file is another: what a mirror that lies would serve."""
    facts = json.loads(locked.read_text())
    model = facts["models"][0]
    model["sha256"] = "1" * 64
    model["key"] = make_key(model["sha256"], model["recipe"])
    locked.write_text(json.dumps(facts))
    with pytest.raises(IntegrityError):
        from_pretrained(REPO, lockfile=locked, cache_dir=tmp_path / "new")
    assert list(Store(tmp_path / "new").entries()) == []


def test_a_licence_out_of_the_lockfile_is_said_to_be_its(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHHUB_ALLOW_LICENSES", "apache-2.0")
    with pytest.raises(LicenceError, match=r"as stated by the lockfile .*, from the card of me/forest"):
        from_pretrained(REPO, lockfile=locked)


@pytest.mark.parametrize("verify", [False, True])
def test_what_another_process_published_meanwhile_is_held_to_the_lockfile_too(
    locked: Path, cache: Path, tmp_path: Path, verify: bool
) -> None:
    (key, mine), store = (Lockfile.read(locked).models[0].key, tmp_path / "mine"), Store(cache)
    entry = store.get(key)
    assert entry is not None
    other = bytearray(entry.weights.read_bytes())
    other[-1000:] = bytes(1000)

    def meanwhile(progress: Progress) -> None:
        if progress.stage == "converting" and progress.done == progress.total and Store(mine).get(key) is None:
            with Store(mine).stage() as staging:
                with staging.file("weights.safetensors") as file:
                    file.write(other)
                Store(mine).publish(key, staging, about=dict(entry.record.about))

    with pytest.raises(IntegrityError, match="the lockfile"):
        from_pretrained(REPO, lockfile=locked, cache_dir=mine, progress=meanwhile, verify=verify)
