"""From a file on the Hub to a model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from depthhub import CheckpointError, IntegrityError, NotFoundError, OfflineError, SourceError, from_pretrained, resolve
from depthhub.testing import Fault, LocalHub, make_checkpoint, transformers_config
from depthhub_cache.store import Store

from ..catalogs import checkpoint, write_catalog
from .conftest import golden_difference
from .on_the_hub import FILE, REPO, SOURCE

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def weights(cache: Path) -> list[Path]:
    return list(cache.rglob("weights.safetensors"))


def leftovers(cache: Path) -> list[Path]:
    """Files in staging: a finished call, whether it failed or not, leaves none."""
    return [path for path in (cache / "v1" / "tmp").rglob("*") if path.is_file()]


def test_a_hub_file_becomes_a_model_and_later_calls_ask_nobody(local_hub: LocalHub, commit: str, cache: Path) -> None:
    model = from_pretrained(SOURCE, family="v2")
    assert golden_difference(model, "v2-tiny") <= 1e-4
    assert model.provenance.commit == commit
    assert (model.provenance.repo_id, model.provenance.filename) == (REPO, FILE)
    local_hub.clear_log()
    from_pretrained(SOURCE, family="v2")
    from_pretrained(SOURCE, family="v1")  # another entry needs the file again, not the question
    assert [request.path for request in local_hub.requests if "/api/" in request.path] == []
    local_hub.close()
    from_pretrained(SOURCE, family="v2")
    from_pretrained(SOURCE, family="v2", offline=True)
    assert leftovers(cache) == []


def test_a_pinned_name_asks_for_the_file_and_for_nothing_else(local_hub: LocalHub, pinned: str) -> None:
    model = from_pretrained(pinned)
    assert model.provenance.name == pinned
    assert golden_difference(model, "v2-tiny") <= 1e-4
    assert [(request.host, request.method) for request in local_hub.requests] == [("hub", "GET"), ("cdn", "GET")]


def test_wrong_bytes_are_never_parsed_and_leave_nothing(local_hub: LocalHub, pinned: str, cache: Path) -> None:
    local_hub.inject(Fault.corrupted(), times=None)
    with pytest.raises(IntegrityError) as caught:
        from_pretrained(pinned)
    assert caught.value.expected in str(caught.value)
    assert caught.value.found in str(caught.value)
    assert weights(cache) == []
    assert leftovers(cache) == []
    local_hub.heal()
    assert golden_difference(from_pretrained(pinned), "v2-tiny") <= 1e-4


def test_a_pin_that_the_hub_no_longer_serves_is_an_error_not_another_model(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=1)
    commit = local_hub.add_file(REPO, FILE, other)
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entry = checkpoint("tiny-moved", repo_id=REPO, filename=FILE, revision=commit, sha256=digest)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    with pytest.raises(IntegrityError):
        from_pretrained("tiny-moved")


@pytest.mark.parametrize("is_pinned", [False, True], ids=["main", "a pinned commit"])
def test_a_hinted_digest_is_confirmed_by_the_hub(
    local_hub: LocalHub,
    commit: str,
    is_pinned: bool,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entries = [
        checkpoint(
            name,
            repo_id=REPO,
            filename=FILE,
            sha256=digest,
            sha256_corroborations=1,
            revision=commit if is_pinned else None,
        )
        for name, digest in (("hint-right", right), ("hint-wrong", "0" * 64))
    ]
    for entry in entries:
        monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / f"{entry['name']}.json", entry)))
        caplog.clear()
        model = from_pretrained(str(entry["name"]), refresh=True)
        assert model.provenance.content_hash == right
        said = [record.message for record in caplog.records if "0" * 64 in record.message]
        assert bool(said) == (entry["name"] == "hint-wrong")
    assert any("/api/models/" in request.path for request in local_hub.requests)


def test_what_nobody_vouched_for_is_remembered_only_once_it_was_read(
    local_hub: LocalHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A mirror that tells names only sent half of a file: the whole one, later, is not held against that."""
    content = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", container="safetensors").read_bytes()
    listing = json.dumps({"sha": "a" * 40, "siblings": [{"rfilename": "w.safetensors"}]}).encode()
    monkeypatch.setenv("HF_ENDPOINT", f"{local_hub.endpoint}/a/mirror/resolve/main")
    local_hub.add_file("a/mirror", "api/models/me/repo/revision/main", listing, lfs=False)
    for sent, is_whole in ((content[:-1000], False), (content, True)):
        local_hub.add_file("a/mirror", f"me/repo/resolve/{'a' * 40}/w.safetensors", sent, lfs=False)
        if is_whole:
            assert golden_difference(from_pretrained("me/repo/w.safetensors", family="v2"), "v2-tiny") <= 1e-4
        else:
            with pytest.raises(CheckpointError, match="cut short"):
                from_pretrained("me/repo/w.safetensors", family="v2")
    assert "tells no digest of it" in caplog.text


def test_a_hinted_commit_that_is_gone_gives_way_to_main(
    local_hub: LocalHub, commit: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entry = checkpoint("gone", repo_id=REPO, filename=FILE, sha256=digest, revision="d" * 40, revision_corroborations=1)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    monkeypatch.setenv("DEPTHHUB_KEEP_SOURCE", "1")
    for dtype in (None, "float16"):  # the second of the original that the first has kept
        made = from_pretrained("gone", dtype=dtype).provenance
        assert (made.content_hash, made.commit) == (digest, None)


def test_no_branch_is_called_a_commit(
    local_hub: LocalHub, commit: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    entry = checkpoint("mine", repo_id=REPO, filename=FILE, sha256=digest)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    assert from_pretrained("mine").provenance.commit is None
    assert resolve("mine").commit is None


def test_the_commit_of_a_space_is_none_of_its_namesake(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    local_hub.add_file("o/twin", "t.pth", tiny, repo_type="space")
    local_hub.add_file("o/twin", "t.pth", tiny)
    entry = checkpoint("mine", repo_id="o/twin", filename="t.pth", sha256=digest)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    of_the_space = from_pretrained("hf://spaces/o/twin/t.pth", family="v2").provenance
    mine = from_pretrained("mine").provenance
    assert mine.path == of_the_space.path
    assert (of_the_space.commit is None, mine.commit) == (False, None)


def test_a_branch_is_asked_once_and_again_on_refresh(
    local_hub: LocalHub, commit: str, tmp_path: Path, cache: Path
) -> None:
    first = from_pretrained(SOURCE, family="v2")
    moved = local_hub.add_file(REPO, FILE, make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    assert from_pretrained(SOURCE, family="v2").provenance.commit == commit
    fresh = from_pretrained(SOURCE, family="v2", refresh=True)
    assert fresh.provenance.commit == moved
    assert fresh.provenance.key != first.provenance.key
    assert from_pretrained(SOURCE, family="v2").provenance.commit == moved
    assert from_pretrained(SOURCE, revision=commit, family="v2").provenance.key == first.provenance.key
    assert resolve(SOURCE, family="v2").remembered_at is not None


def test_a_space_is_a_source_too(local_hub: LocalHub, tiny: Path) -> None:
    local_hub.add_file("owner/space", "checkpoints/t.pth", tiny, repo_type="space")
    model = from_pretrained("hf://spaces/owner/space/checkpoints/t.pth", family="v1")
    assert golden_difference(model, "v1-tiny") <= 1e-4
    assert model.provenance.repo_type == "space"


def test_a_repository_alone_is_enough_where_it_holds_one_checkpoint(local_hub: LocalHub, tmp_path: Path) -> None:
    port = make_checkpoint(tmp_path / "model.safetensors", encoder="tiny", layout="transformers")
    local_hub.add_file("owner/port-hf", "model.safetensors", port)
    config = json.dumps(transformers_config("tiny", family="v2-metric", max_depth=20)).encode()
    local_hub.add_file("owner/port-hf", "config.json", config, lfs=False)
    model = from_pretrained("owner/port-hf")  # how to build it comes from the repository's config.json
    assert golden_difference(model, "v2-metric-tiny-20m") <= 1e-4
    local_hub.close()
    assert golden_difference(from_pretrained("owner/port-hf"), "v2-metric-tiny-20m") <= 1e-4


@pytest.mark.parametrize(
    "other",
    [
        *("other.pth", "BEST.PTH", "best:val<0.1.ckpt", "best:1.pth.tar", "model_best.pth.tar", "best.th", "best.pkl"),
        *("checkpoint.tar", "model_best", "best.state", "best.pth.bak"),
    ],
)
def test_a_repository_with_several_checkpoints_asks_which(
    local_hub: LocalHub, commit: str, tiny: Path, other: str
) -> None:
    """One whose name cannot be said here is another one all the same."""
    local_hub.add_file(REPO, other, tiny)
    with pytest.raises(SourceError, match=r"2 files of weights.*tiny.pth"):
        from_pretrained(REPO, family="v2")


@pytest.mark.parametrize(
    ("other", "bytes_"),
    [("tiny.onnx", 9_000_000), ("video.mp4", 9_000_000), ("LICENSE", 1000), ("checksums", 2_000_000)],
)
def test_what_is_another_thing_or_small_is_no_second_checkpoint(
    local_hub: LocalHub, commit: str, tmp_path: Path, other: str, bytes_: int
) -> None:
    (tmp_path / "other").write_bytes(bytes(bytes_))
    local_hub.add_file(REPO, other, tmp_path / "other")
    assert from_pretrained(REPO, family="v2").provenance.filename == FILE


def test_a_mistyped_file_gets_a_suggestion(local_hub: LocalHub, commit: str) -> None:
    with pytest.raises(NotFoundError, match=r"Did you mean weights/tiny.pth") as caught:
        from_pretrained(f"{REPO}/weights/tyni.pth", family="v2")
    assert caught.value.suggestions == (FILE,)


@pytest.mark.parametrize("source", [SOURCE, f"spaces/{SOURCE}"])
def test_a_path_that_could_be_a_hub_file_too_asks_which(
    local_hub: LocalHub, commit: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    local_hub.add_file(REPO, FILE, tiny, repo_type="space")
    (tmp_path / source).parent.mkdir(parents=True)
    (tmp_path / source).write_bytes(tiny.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=rf"\./{source} .*hf://{source}"):
        from_pretrained(source, family="v2")
    assert from_pretrained(f"./{source}", family="v2").provenance.repo_id is None
    assert from_pretrained(f"hf://{source}", family="v2")


def test_offline_without_the_entry_says_what_to_do(local_hub: LocalHub, commit: str, pinned: str) -> None:
    for source in (SOURCE, pinned):
        with pytest.raises(OfflineError, match=r"depthhub pull"):
            from_pretrained(source, family="v2", offline=True)
    assert local_hub.requests == []


def test_the_environment_can_forbid_the_network(
    local_hub: LocalHub, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OfflineError):
        from_pretrained(SOURCE, family="v2")
    assert local_hub.requests == []


def test_dropped_and_reset_connections_are_resumed(local_hub: LocalHub, pinned: str, tiny: Path) -> None:
    local_hub.inject(Fault.drop(after=1_000_000))
    local_hub.inject(Fault.reset(after=500_000))
    assert golden_difference(from_pretrained(pinned), "v2-tiny") <= 1e-4
    ranges = [request.range for request in local_hub.requests if request.host == "cdn"]
    assert ranges[0] is None
    assert all(later is not None for later in ranges[1:])


def test_a_file_outside_lfs_is_a_source_too(local_hub: LocalHub, tiny: Path) -> None:
    local_hub.add_file("owner/small", "t.pth", tiny, lfs=False)
    assert golden_difference(from_pretrained("owner/small/t.pth", family="v2"), "v2-tiny") <= 1e-4
    local_hub.close()
    from_pretrained("owner/small/t.pth", family="v2")


def test_progress_tells_every_stage_and_raising_in_it_leaves_nothing(
    local_hub: LocalHub, commit: str, cache: Path
) -> None:
    stages: list[str] = []
    from_pretrained(SOURCE, family="v2", progress=lambda p: stages.append(p.stage))
    assert list(dict.fromkeys(stages)) == ["resolving", "downloading", "converting"]

    def cancel(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        from_pretrained(SOURCE, family="v1", progress=cancel)
    assert leftovers(cache) == []
    assert len(weights(cache)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        {"content_hash": "0"},
        {"filename": "../../etc/passwd"},
        {"size": "large"},
        {"commit": None},
        None,
    ],
)
def test_a_remembered_answer_that_is_not_understood_costs_a_question(
    local_hub: LocalHub, commit: str, cache: Path, damage: dict[str, object] | None
) -> None:
    from_pretrained(SOURCE, family="v2")
    store = Store(cache)
    [(name, answer)] = store.refs()
    store.remember(name, {**answer, **damage} if damage else {"something": "else"})
    local_hub.clear_log()
    from_pretrained(SOURCE, family="v2")
    assert [request.path for request in local_hub.requests if "/api/" in request.path] != []
