"""An answer of the Hub that is older than what came since never takes its place, whatever way it comes here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from depthhub import DepthHubError, prewarm, resolve
from depthhub.bundles import export_entries, import_entries
from depthhub.progress import Progress
from depthhub.testing import Fault, LocalHub, make_checkpoint, transformers_config
from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

SOURCE = "o/r/t.pth"


@pytest.fixture
def older(local_hub: LocalHub, tiny: Path, tmp_path: Path) -> Path:
    """A bundle of another machine, with the Hub's answer of yesterday; since then the branch has moved."""
    local_hub.add_file("o/r", "t.pth", tiny)
    elsewhere = Store(tmp_path / "elsewhere")
    (made,) = prewarm([SOURCE], family="v2", cache_dir=elsewhere.root)
    for name, answer in list(elsewhere.refs()):
        elsewhere.remember(name, {**answer, "remembered_at": "2020-01-01T00:00:00+00:00"})
    export_entries(elsewhere, [made.key], tmp_path / "older.tar")
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    return tmp_path / "older.tar"


def _damage(store: Store) -> None:
    [name] = [name for name, _ in store.refs()]
    ref_path(store.root / "v1/refs", name).write_bytes(b"{")


def _set_aside(store: Store) -> None:
    for path, problem in list(store.broken_refs()):
        store.quarantine(path, problem)


@pytest.mark.parametrize("asked", ["o/r", SOURCE])
@pytest.mark.parametrize("now", ["two checkpoints", "another checkpoint", "no checkpoint"])
def test_what_the_hub_has_no_longer_is_not_what_it_was(
    local_hub: LocalHub, tiny: Path, cache: Path, asked: str, now: str
) -> None:
    """A refresh that ends with the Hub's own no does not leave the older commit to whoever calls next."""
    local_hub.add_file("o/r", "t.pth", tiny)
    for source in ("o/r", SOURCE):
        resolve(source)
    local_hub.add_file("o/r", "other.pth", tiny)
    if now != "two checkpoints":
        local_hub.remove_file("o/r", "t.pth")
    if now == "no checkpoint":
        local_hub.remove_file("o/r", "other.pth")
    told = _said(asked, refresh=True)
    assert _said(asked) == told
    if asked == SOURCE:
        assert _said("o/r") == _said("o/r", refresh=True), "it meant that file"


def _said(source: str, **options: bool) -> str:
    """The commit and file, or the error."""
    try:
        found = resolve(source, **options)
    except DepthHubError as error:
        return str(error)
    return f"{found.commit} {found.filename}"


@pytest.mark.parametrize("refresh", [False, True])
def test_a_bundle_that_is_imported_during_a_question_is_no_later_answer(
    local_hub: LocalHub, older: Path, cache: Path, refresh: bool
) -> None:
    local_hub.inject(Fault.stall(1.5), path="api/models")
    before = len(local_hub.requests)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(resolve, SOURCE, refresh=refresh)
        while not any("api/models" in request.path for request in local_hub.requests[before:]):
            time.sleep(0.01)
        assert len(import_entries(Store(cache), older).refs) == 1, "it came before the Hub's answer"
        told = asking.result().commit
    local_hub.close()
    assert resolve(SOURCE).commit == told


@pytest.mark.parametrize("then", [[], [_set_aside]])
def test_a_bundle_does_not_take_the_place_of_an_answer_that_is_lost(
    local_hub: LocalHub, older: Path, cache: Path, then: list[Callable[[Store], None]]
) -> None:
    told, store = resolve(SOURCE).commit, Store(cache)
    for step in (_damage, *then):
        step(store)
    assert import_entries(store, older).refs == ()
    assert resolve(SOURCE).commit == told
    local_hub.close()
    assert resolve(SOURCE).commit == told


def test_whoever_clears_the_quarantine_takes_a_bundles_answer_again(older: Path, cache: Path) -> None:
    store = Store(cache)
    resolve(SOURCE)
    for step in (_damage, _set_aside):
        step(store)
    store.clear_quarantine()
    assert len(import_entries(store, older).refs) == 1


def test_a_bundle_brings_no_answer_back_that_was_forgotten(
    local_hub: LocalHub, older: Path, tiny: Path, cache: Path
) -> None:
    resolve("o/r")
    local_hub.add_file("o/r", "other.pth", tiny)
    told = _said("o/r", refresh=True)
    assert "holds 2 files" in told
    Store(cache).remember("hub:another", {})
    assert [name for name in import_entries(Store(cache), older).refs if "/o/r/@" in name] == []
    assert _said("o/r") == told


@pytest.mark.parametrize("then", [[], [_set_aside]])
def test_offline_the_clients_cache_takes_the_place_of_a_lost_answer_with_a_warning(
    local_hub: LocalHub,
    tiny: Path,
    cache: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    then: list[Callable[[Store], None]],
) -> None:
    from huggingface_hub import hf_hub_download

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint)
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    prewarm([SOURCE], family="v2")
    for step in (_damage, *then):
        step(Store(cache))
    for _ in range(2):
        caplog.clear()
        prewarm([SOURCE], family="v2", offline=True)
        assert "what the Hub said of it is damaged or hidden; what its client has may be older" in caplog.text


def test_what_was_not_asked_is_asked_of_the_commit_that_was_named(
    local_hub: LocalHub, tiny: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalog knows how to build it; who comes without that catalog needs the config.json, and no other weights."""
    mine = checkpoint("mine", repo_id="o/r", filename="t.pth")
    first = local_hub.add_file("o/r", "t.pth", tiny)
    with monkeypatch.context() as with_catalog:
        with_catalog.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", mine)))
        resolve("mine")
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    assert resolve(SOURCE, family="v2").commit == first
    local_hub.close()
    assert resolve(SOURCE, family="v2").commit == first


def test_where_that_commit_is_gone_the_branch_is_asked_with_a_warning(
    local_hub: LocalHub, tiny: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = local_hub.add_file("o/r", "t.pth", tiny)
    resolve(SOURCE)
    [(name, answer)] = Store(cache).refs()
    asked_for_less = {fact: value for fact, value in answer.items() if fact != "config"}
    Store(cache).remember(name, {**asked_for_less, "commit": "1" * 40})
    assert resolve(SOURCE).commit == now
    assert "what was remembered of it is gone, and is asked for anew" in caplog.text


def test_what_a_download_learns_brings_no_answer_back_that_was_forgotten_meanwhile(
    local_hub: LocalHub, tiny: Path, cache: Path
) -> None:
    """Of a file that is not in LFS only its download tells the sha256."""
    local_hub.add_file("o/r", "t.pth", tiny, lfs=False)
    told: list[str] = []

    def meanwhile(progress: Progress) -> None:
        if progress.stage == "downloading" and not told:
            local_hub.add_file("o/r", "other.pth", tiny, lfs=False)
            told.append(_said("o/r", refresh=True))

    prewarm(["o/r"], family="v2", progress=meanwhile)
    assert "holds 2 files" in told[0]
    assert _said("o/r") == told[0]


def test_a_refresh_that_names_the_same_file_keeps_the_sha256_that_its_download_told(
    local_hub: LocalHub, tiny: Path, cache: Path
) -> None:
    local_hub.add_file("o/r", "t.pth", tiny, lfs=False)
    prewarm([SOURCE], family="v2")
    for source in (SOURCE, "o/r"):
        resolve(source, refresh=True)
    local_hub.close()
    for source in (SOURCE, "o/r"):
        assert prewarm([source], family="v2", offline=True)[0].cached


@pytest.fixture
def stated(local_hub: LocalHub, tmp_path: Path) -> str:
    """A file whose config.json says how to build it; `mine` of a catalog of one's own says it too."""
    config = json.dumps(transformers_config("tiny", family="v2")).encode()
    port = make_checkpoint(tmp_path / "p.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("o/p", "config.json", config, lfs=False)
    local_hub.add_file("o/p", "model.safetensors", port)
    return "o/p/model.safetensors"


@pytest.fixture
def with_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    mine = checkpoint("mine", repo_id="o/p", filename="model.safetensors", layout="transformers")
    place = str(write_catalog(tmp_path / "catalog.json", mine))
    return lambda: monkeypatch.setenv("DEPTHHUB_CATALOG", place)


def test_a_job_that_needs_no_config_leaves_it_to_those_who_do(
    local_hub: LocalHub, stated: str, with_catalog: Callable[[], None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prewarm([stated])
    with_catalog()
    resolve("mine", refresh=True)
    monkeypatch.delenv("DEPTHHUB_CATALOG")
    local_hub.close()
    assert prewarm([stated], offline=True)[0].cached


@pytest.mark.parametrize("here", ["all", "less"])
def test_of_two_answers_of_one_commit_the_one_that_tells_more_counts(
    local_hub: LocalHub,
    stated: str,
    with_catalog: Callable[[], None],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    here: str,
) -> None:
    """Whichever is the later one: a job with a catalog asks for no config.json."""
    roots = {"all": tmp_path / "all", "less": tmp_path / "less"}
    prewarm([stated], cache_dir=roots["all"])
    with_catalog()
    prewarm([stated], cache_dir=roots["less"])
    monkeypatch.delenv("DEPTHHUB_CATALOG")
    mine, theirs = Store(roots[here]), Store(roots["less" if here == "all" else "all"])
    later = "2999-01-01T00:00:00+00:00" if here == "all" else "2020-01-01T00:00:00+00:00"
    for name, answer in list(theirs.refs()):
        theirs.remember(name, {**answer, "remembered_at": later})
    export_entries(theirs, list(theirs.keys()), tmp_path / "b.tar")
    import_entries(mine, tmp_path / "b.tar")
    local_hub.close()
    assert prewarm([stated], offline=True, cache_dir=mine.root)[0].cached


@pytest.mark.parametrize(("here", "in_a_bundle"), [(2019, 2021), (2021, 2019)])
def test_a_bundle_of_the_same_commit_makes_an_answer_no_older_than_it_is(
    older: Path, cache: Path, tmp_path: Path, here: int, in_a_bundle: int
) -> None:
    """Else one that was given in between would count as later."""
    for root, year in ((cache, here), (tmp_path / "third", in_a_bundle)):
        [made] = prewarm([SOURCE], family="v2", cache_dir=root)
        store = Store(root)
        for name, answer in list(store.refs()):
            store.remember(name, {**answer, "remembered_at": f"{year}-01-01T00:00:00+00:00"})
    now = resolve(SOURCE, offline=True).commit
    export_entries(store, [made.key], tmp_path / "same.tar")
    for bundle in (tmp_path / "same.tar", older):
        import_entries(Store(cache), bundle)
    known = resolve(SOURCE, offline=True)
    assert (known.commit, known.remembered_at) == (now, "2021-01-01T00:00:00+00:00")


def test_two_checkpoints_of_an_unmoved_branch_are_two_from_the_next_refresh_on(
    local_hub: LocalHub, tiny: Path, cache: Path
) -> None:
    """What an earlier version, or a Hub that told less, took for the only one."""
    local_hub.add_file("o/r", "t.pth", tiny)
    resolve("o/r")
    [(name, answer)] = [(name, answer) for name, answer in Store(cache).refs() if "t.pth" not in name]
    moved = local_hub.add_file("o/r", "other.pth", tiny)
    Store(cache).remember(name, {**answer, "commit": moved})
    told = _said("o/r", refresh=True)
    assert "holds 2 files" in told
    assert _said("o/r") == told
