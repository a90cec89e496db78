"""A lockfile pins a model to the byte: what it names is made exactly so, and nothing else is loaded while it binds."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthhub import (
    DepthHubError,
    FamilyError,
    IntegrityError,
    LicenceError,
    LockfileError,
    NotLockedError,
    OfflineError,
    OptionError,
    from_pretrained,
    lock,
    prewarm,
    resolve,
)
from depthhub.checkpoint.recipe import Recipe
from depthhub.lockfile import Lockfile
from depthhub.locking import check, update
from depthhub.model.config import Build
from depthhub.progress import Progress
from depthhub.resolution import locate
from depthhub.testing import LocalHub, make_checkpoint, transformers_config
from depthhub_cache.identity import make_key
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REPO, FILE = "me/forest", "forest.pth"
CARD = b"---\nlicense: MIT\ntags: []\n---\n# Forest\n"


@pytest.fixture
def hub(local_hub: LocalHub, tiny: Path) -> LocalHub:
    local_hub.add_file(REPO, "README.md", CARD, lfs=False)
    local_hub.add_file(REPO, FILE, tiny)
    return local_hub


@pytest.fixture
def locked(hub: LocalHub, cache: Path, tmp_path: Path) -> Path:
    """A lockfile of `me/forest@main`, whose entry is in the cache."""
    path = tmp_path / "depthhub.lock"
    lock([f"{REPO}@main"], path, family="v2")
    return path


@pytest.fixture
def edited(locked: Path) -> Callable[..., Path]:
    """`edited(commit=...)`: the lockfile with other facts of its one model."""

    def edit(**facts: object) -> Path:
        text = json.loads(locked.read_text())
        text["models"][0].update(facts)
        locked.write_text(json.dumps(text))
        return locked

    return edit


def test_it_says_everything_about_a_model(locked: Path, hub: LocalHub, cache: Path) -> None:
    (model,) = Lockfile.read(locked).models
    (entry,) = Store(cache).entries()
    assert model.source == "hf://me/forest@main"
    assert (model.repo_id, model.repo_type, model.filename) == (REPO, "model", FILE)
    assert model.licence == "mit"
    assert model.recipe == Recipe(Build("v2"))
    assert (model.key, model.weights_sha256) == (entry.key, entry.record.weights_sha256)
    assert model.weights_size == entry.weights.stat().st_size
    assert model.size == entry.record.about["checkpoint_bytes"]
    assert entry.record.about["licence"] == "mit"


def test_the_same_models_give_the_same_bytes_in_whatever_order(hub: LocalHub, cache: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.lock", tmp_path / "other.lock"
    hub.add_file("me/field", FILE, make_checkpoint(tmp_path / "field.pth", encoder="tiny"))
    lock(["me/field", REPO], one, family="v2")
    lock([f"{REPO}@main", "me/field@main", REPO], other, family="v2")
    assert one.read_bytes() == other.read_bytes()
    assert Lockfile.read(one).to_bytes() == one.read_bytes()
    assert [model["source"] for model in json.loads(one.read_text())["models"]] == [
        "hf://me/field@main",
        "hf://me/forest@main",
    ]


def test_add_keeps_what_is_there_and_a_dtype_is_a_model_of_its_own(locked: Path) -> None:
    lock([REPO], locked, add=True, family="v2", dtype="float16")
    assert [model.recipe.dtype for model in Lockfile.read(locked).models] == [None, "float16"]
    assert len(prewarm(lockfile=locked)) == 2


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


def test_a_file_here_cannot_be_locked(tiny: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(OptionError, match="a file of this machine"):
        lock([str(tiny)], tmp_path / "depthhub.lock", family="v2")
    assert not (tmp_path / "depthhub.lock").exists()


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


def test_check_finds_a_branch_that_moved_and_one_that_is_gone(locked: Path, hub: LocalHub) -> None:
    assert check(locked)[1] == ()
    before = Lockfile.read(locked).models[0].commit
    moved = hub.add_file(REPO, "more.txt", b"more", lfs=False)
    (stale,) = check(locked)[1]
    assert (stale.fact, stale.locked, stale.now) == ("commit", before, moved)
    hub.remove_file(REPO, FILE)
    hub.remove_file(REPO, "README.md")
    (stale,) = check(locked)[1]
    assert (stale.fact, stale.now) == ("commit", None)


def test_check_finds_another_file_another_licence_and_downloads_neither(
    locked: Path, hub: LocalHub, tmp_path: Path
) -> None:
    hub.add_file(REPO, FILE, make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=7))
    hub.add_file(REPO, "README.md", CARD.replace(b"MIT", b"cc-by-nc-4.0"), lfs=False)
    hub.clear_log()
    assert [stale.fact for stale in check(locked)[1]] == ["commit", "sha256", "licence", "key"]
    assert [request.path for request in hub.requests if "resolve" in request.path] == []


def test_update_locks_one_source_anew_and_leaves_the_others(locked: Path, hub: LocalHub, tmp_path: Path) -> None:
    hub.add_file("me/field", FILE, make_checkpoint(tmp_path / "field.pth", encoder="tiny"))
    lock(["me/field"], locked, add=True, family="v2")
    before = {model.source: model for model in Lockfile.read(locked).models}
    for repo in (REPO, "me/field"):
        hub.add_file(repo, "more.txt", b"more", lfs=False)
    after = {model.source: model for model in update(locked, [REPO]).models}
    assert after["hf://me/field@main"] == before["hf://me/field@main"]
    assert after["hf://me/forest@main"].commit != before["hf://me/forest@main"].commit
    assert Lockfile.read(locked).models == tuple(after.values())
    with pytest.raises(NotLockedError):
        update(locked, ["me/river"])


def test_a_lock_that_fails_leaves_the_file_as_it_was(locked: Path, hub: LocalHub) -> None:
    before = locked.read_bytes()
    with pytest.raises(DepthHubError):
        lock([REPO, "me/river"], locked, family="v2")
    assert locked.read_bytes() == before
    assert sorted(path.name for path in locked.parent.iterdir() if path.suffix in (".lock", ".part")) == [locked.name]


def test_a_lockfile_in_force_does_not_hinder_locking(
    locked: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(locked))
    hub.add_file("me/field", FILE, make_checkpoint(tmp_path / "field.pth", encoder="tiny"))
    assert len(lock(["me/field"], locked, add=True, family="v2").models) == 2


BREACHES: list[tuple[dict[str, Any], str]] = [
    ({"key": "0" * 64}, "key"),
    ({"sha256": "1" * 64}, "key"),
    ({"sha256": "short"}, "sha256"),
    ({"commit": "main"}, "commit"),
    ({"size": -1}, "size"),
    ({"filename": "../up.pth"}, "filename"),
    ({"repo_id": "no-owner"}, "repo_id"),
    ({"repo_type": "dataset"}, "repo_type"),
    ({"licence": "Anything goes"}, "licence"),
    ({"source": "a b"}, "source"),
    ({"recipe": {"build": {"family": "v3"}, "dtype": None, "layout_version": 1}}, "recipe"),
    ({"weights_sha256": None}, "weights_sha256"),
    ({"extra": 1}, "extra"),
]


@pytest.mark.parametrize(("facts", "field"), BREACHES, ids=[f"{field}-{n}" for n, (_, field) in enumerate(BREACHES)])
def test_a_file_that_was_edited_is_refused_with_its_field(
    edited: Callable[..., Path], facts: dict[str, Any], field: str
) -> None:
    path = edited(**facts)
    with pytest.raises(LockfileError, match=field) as caught:
        from_pretrained(REPO, lockfile=path)
    assert (caught.value.path, caught.value.field) == (path, field)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"lockfile": 2, "models": []}', '{"models": []}', "<<<<<<< HEAD"]
)
def test_what_is_no_lockfile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "depthhub.lock"
    path.write_text(text)
    with pytest.raises(LockfileError):
        from_pretrained("vits", lockfile=path)


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockfileError, match="There is no lockfile"):
        from_pretrained("vits", lockfile=tmp_path / "depthhub.lock")


def test_two_sources_of_one_entry_with_different_weights_are_refused(locked: Path) -> None:
    """As after a merge: which of them counts would be chance."""
    text = json.loads(locked.read_text())
    [model] = text["models"]
    other = {**model, "source": f"hf://me/copy@{'a' * 40}", "repo_id": "me/copy", "commit": "a" * 40}
    locked.write_text(json.dumps({**text, "models": [model, other]}))
    assert len(Lockfile.read(locked).models) == 2
    locked.write_text(json.dumps({**text, "models": [model, {**other, "weights_sha256": "0" * 64}]}))
    with pytest.raises(LockfileError, match="are one entry"):
        Lockfile.read(locked)


def test_two_models_with_one_source_and_dtype_are_refused(locked: Path) -> None:
    text = json.loads(locked.read_text())
    text["models"] *= 2
    locked.write_text(json.dumps(text))
    with pytest.raises(LockfileError, match="twice"):
        Lockfile.read(locked)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["lockfile", "models", "source", "recipe", "key"]), inner)
        ),
    )
)
def test_whatever_json_it_is_a_lockfile_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: object
) -> None:
    path = tmp_path_factory.mktemp("lock") / "depthhub.lock"
    path.write_text(json.dumps(data))
    if isinstance(data, dict) and data.get("lockfile") == 1 and data.get("models") == [] and len(data) == 2:
        Lockfile.read(path)
    else:
        with pytest.raises(LockfileError):
            Lockfile.read(path)


def test_the_document_and_the_schema_have_the_same_fields(locked: Path) -> None:
    docs = Path(__file__).parents[2] / "docs"
    schema = json.loads((docs / "lockfile.schema.json").read_text())["$defs"]["model"]
    (model,) = json.loads(locked.read_text())["models"]
    assert set(schema["properties"]) == set(model)
    table = (docs / "lockfile.md").read_text()
    assert all(f"`{field}`" in table for field in model)


def test_a_name_of_the_catalog_cannot_be_locked_to_something_else(
    locked: Path, edited: Callable[..., Path], hub: LocalHub
) -> None:
    """Nor is a licence that is edited in believed of it."""
    hub.clear_log()
    for name in ("vitl", "v2-vitl"):
        with pytest.raises(LockfileError, match=r"has me/forest/forest.pth .* as v2-vitl, and the catalog depth-any"):
            from_pretrained(name, lockfile=edited(source="v2-vitl", name="v2-vitl", licence="apache-2.0"))
    assert hub.requests == []


@pytest.mark.parametrize("source", ["/etc/passwd", "./w.pth", "hf://me/other@main", f"hf://{REPO}@main/other.pth"])
def test_a_source_is_the_locked_file_and_none_of_this_machine(edited: Callable[..., Path], source: str) -> None:
    with pytest.raises(LockfileError, match="is not the repository, file and commit of its other facts"):
        Lockfile.read(edited(source=source))


def test_without_a_network_a_branch_is_not_said_to_be_where_it_was(locked: Path) -> None:
    before = locked.read_bytes()
    for way in (check, partial(update, sources=[REPO]), partial(lock, [REPO], family="v2")):
        with pytest.raises(OfflineError, match="only the Hub can tell"):
            way(locked, offline=True)
    assert locked.read_bytes() == before
    assert check(locked)[1] == ()


def test_nor_is_a_name_whose_catalog_pins_nothing(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = checkpoint("mine", repo_id=REPO, filename=FILE)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", mine)))
    for source in ("mine", "mine@main"):
        lock([source], tmp_path / "l.lock")
        before = (tmp_path / "l.lock").read_bytes()
        for way in (check, partial(update, sources=[source]), partial(lock, [source])):
            with pytest.raises(OfflineError, match="only the Hub can tell"):
                way(tmp_path / "l.lock", offline=True)
        assert (tmp_path / "l.lock").read_bytes() == before
    (model,) = Lockfile.read(tmp_path / "l.lock").models
    lock([f"mine@{model.commit}"], tmp_path / "l.lock", offline=False)
    assert check(tmp_path / "l.lock", offline=True)[1] == ()


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links, and a pipe with a name")
def test_a_link_to_a_lockfile_stays_one_and_what_is_no_file_stays_too(hub: LocalHub, tmp_path: Path) -> None:
    link = tmp_path / "link.lock"
    link.symlink_to(tmp_path / "there.lock")
    for _ in range(2):
        lock([REPO], link, family="v2")
        assert link.is_symlink()
        assert Lockfile.read(tmp_path / "there.lock").models == Lockfile.read(link).models
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OptionError, match="is no lockfile"):
        lock([REPO], tmp_path / "pipe", family="v2")
    assert (tmp_path / "pipe").is_fifo()


def test_what_never_was_a_lockfile_is_not_written_over(hub: LocalHub, tiny: Path, tmp_path: Path) -> None:
    """A slip: elsewhere -o is the file that comes of it."""
    mine = tmp_path / "best.pth"
    shutil.copy(tiny, mine)
    with pytest.raises(OptionError, match="is no lockfile that can be read; choose another place"):
        lock([REPO], mine, family="v2")
    assert mine.read_bytes() == tiny.read_bytes()
    assert hub.requests == [], "nothing is fetched for what cannot be written"
    (tmp_path / "empty.lock").touch()
    assert lock([REPO], tmp_path / "empty.lock", family="v2").models


def test_a_file_that_cannot_be_read_is_written_anew_and_not_added_to(locked: Path, cache: Path) -> None:
    locked.write_text(f"<<<<<<< ours\n{locked.read_text()}")
    with pytest.raises(LockfileError):
        lock([REPO], locked, family="v2", add=True)
    lock([REPO], locked, family="v2")
    assert len(Lockfile.read(locked).models) == 1


def config_of(family: str, **more: object) -> bytes:
    return json.dumps(transformers_config("tiny", family=family, **more)).encode()


def test_what_a_config_said_is_not_said_again_by_who_locks_anew(local_hub: LocalHub, tmp_path: Path) -> None:
    port = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file(REPO, "config.json", config_of("v2-metric", max_depth=80), lfs=False)
    local_hub.add_file(REPO, "model.safetensors", port)
    path = tmp_path / "l.lock"
    (before,) = lock([REPO], path).models
    assert (before.family, before.max_depth) == (None, None)
    local_hub.add_file(REPO, "config.json", config_of("v2"), lfs=False)
    (moved,) = update(path, [REPO]).models
    assert moved.recipe.build.family == "v2"
    local_hub.remove_file(REPO, "config.json")
    with pytest.raises(FamilyError, match="nothing tells how to build"):
        update(path, [REPO])
    assert Lockfile.read(path).models == (moved,)
    assert ("key", moved.key, None) in {stale[1:] for stale in check(path)[1]}


@pytest.mark.parametrize("said", [{"family": "v2"}, {"family": "v2-metric", "max_depth": 80}])
def test_what_was_said_when_it_was_locked_is_said_again(
    hub: LocalHub, tmp_path: Path, said: dict[str, Any], edited: Callable[..., Path]
) -> None:
    (before,) = lock([REPO], tmp_path / "l.lock", **said).models
    assert {name: value for name in ("family", "max_depth") if (value := getattr(before, name)) is not None} == said
    text = (tmp_path / "l.lock").read_text()
    hub.add_file(REPO, FILE, make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=3))
    (after,) = update(tmp_path / "l.lock", [REPO]).models
    assert after.sha256 != before.sha256
    assert after.recipe == before.recipe
    assert (after.family, after.max_depth) == (before.family, before.max_depth)
    assert len((tmp_path / "l.lock").read_text().splitlines()) == len(text.splitlines())
    with pytest.raises(LockfileError, match="is not what was said of how to build it"):
        Lockfile.read(edited(family="v1"))


@pytest.mark.parametrize("fact", ["family", "max_depth"])
def test_a_lock_that_leaves_out_what_was_said_is_refused(locked: Path, fact: str) -> None:
    text = json.loads(locked.read_text())
    del text["models"][0][fact]
    locked.write_text(json.dumps(text))
    with pytest.raises(LockfileError, match=f"field '{fact}' is missing"):
        Lockfile.read(locked)


def test_what_was_said_is_said_again_whatever_a_catalog_knows_since(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file(REPO, "w.safetensors", port)
    said: dict[str, Any] = {"family": "v2-metric", "max_depth": 80}
    (before,) = lock([REPO], tmp_path / "l.lock", **said).models
    build = {"family": "v2-metric", "max_depth": 20, "activation": "sigmoid", "taps": "spread"}
    entry = checkpoint("since", repo_id=REPO, filename="w.safetensors", build=build, layout="transformers")
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    with pytest.raises(FamilyError, match="asked for v2-metric up to 80 m, but the catalog knows"):
        update(tmp_path / "l.lock", [REPO])
    assert Lockfile.read(tmp_path / "l.lock").models == (before,)
    local_hub.remove_file(REPO, "w.safetensors")
    local_hub.add_file(REPO, "config.json", config_of("v2-metric", max_depth=20), lfs=False)
    local_hub.add_file(REPO, "new.safetensors", port)
    with pytest.warns(UserWarning, match="built as v2-metric up to 80 m, as you say; its config.json says"):
        (after,) = update(tmp_path / "l.lock", [REPO]).models
    assert (after.filename, after.recipe.build.max_depth) == ("new.safetensors", 80)


def test_what_a_catalog_told_when_it_was_locked_is_told_again_where_that_catalog_is_missing(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = {"family": "v2-metric", "max_depth": 80, "activation": "sigmoid", "taps": "spread"}
    entry = checkpoint("mine", repo_id=REPO, filename=FILE, build=build)
    with monkeypatch.context() as in_force:
        in_force.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
        before = lock([f"{REPO}/{FILE}"], tmp_path / "l.lock").models
    assert before[0].name == "mine"
    (after,) = update(tmp_path / "l.lock", [f"{REPO}/{FILE}"]).models
    assert after.recipe == before[0].recipe
    assert {stale.fact for stale in check(tmp_path / "l.lock")[1]} == set()
