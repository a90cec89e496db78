"""The remote tier: asked before the Hub, filled by those who may, and whatever it does wrong costs time, no more."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from depthhub import (
    IntegrityError,
    NotFoundError,
    OfflineError,
    RemoteError,
    RemoteSetupError,
    SettingsError,
    from_pretrained,
    lock,
    prewarm,
)
from depthhub.planning import plan
from depthhub.steps.request import Request
from depthhub.testing import LocalHub, make_checkpoint
from depthhub_cache.record import Record
from depthhub_cache.remote import RemoteStore
from depthhub_cache.store import Entry, Store

from ..cache.remote import web as answers
from ..cache.remote.s3_server import S3Server
from ..cache.remote.web import Answer, Web
from ..catalogs import checkpoint, write_catalog

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REPO, FILE, NAME = "owner/repo", "tiny.pth", "tiny-pinned"
_numbers = itertools.count()


@pytest.fixture
def hub(local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """Has the checkpoint that a catalog pins as NAME: to know its key nobody is asked."""
    commit = local_hub.add_file(REPO, FILE, tiny)
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    size = tiny.stat().st_size
    entry = checkpoint(NAME, repo_id=REPO, filename=FILE, revision=commit, sha256=digest, size=size)
    monkeypatch.setenv("DEPTHHUB_CATALOG", str(write_catalog(tmp_path / "catalog.json", entry)))
    return local_hub


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test can wait for, and that a busy machine keeps where nothing is wrong."""
    for limit, seconds in (("CONNECT", 1), ("STALL", 1), ("TOTAL", 5)):
        monkeypatch.setenv(f"DEPTHHUB_{limit}_TIMEOUT", str(seconds))


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A mounted folder that is the remote store, empty."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def filled(hub: LocalHub, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """The entry that a trusted job has put there. The environment of the test has the store, and may not write."""
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    made = pushed_by(tmp_path / "job", monkeypatch)
    hub.clear_log()
    return made


@pytest.fixture
def web(filled: Entry, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The same behind a plain web server."""
    with Web().serving() as serving:
        serving.files = {f"/models/{path.name}": path.read_bytes() for path in shelf.iterdir()}
        monkeypatch.setenv("DEPTHHUB_REMOTE", f"{serving.url}/models")
        yield serving


@pytest.fixture(scope="module")
def _s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(_s3_server: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An empty bucket that is the remote store."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    name = f"models-{next(_numbers)}"
    _s3_server.client().create_bucket(Bucket=name)
    monkeypatch.setenv("DEPTHHUB_REMOTE", f"s3://{name}/depthhub")
    _s3_server.requests.clear()
    return _s3_server


def pushed_by(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    with monkeypatch.context() as job:
        job.setenv("DEPTHHUB_PUSH", "1")
        (made,) = prewarm([NAME], cache_dir=cache)
    assert made.pushed is True
    entry = Store(cache).get(made.key)
    assert entry is not None
    return entry


def warmed(cache: Path, **options: object) -> Entry:
    """What a fresh machine has after a prewarm."""
    (made,) = prewarm([NAME], cache_dir=cache, **options)  # type: ignore[arg-type]
    entry = Store(cache).get(made.key)
    assert entry is not None
    Store(cache).verify(entry, deep=True)
    return entry


def hub_paths(hub: LocalHub) -> list[str]:
    return [request.path for request in hub.requests]


# A machine that finds it there


def test_out_of_a_folder_or_from_a_web_server_and_the_hub_is_asked_nothing(
    web: Web, filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = warmed(tmp_path / "one")
    assert web.paths() == [f"/models/{filled.key}.json", f"/models/{filled.record.weights_sha256}.safetensors"]
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    copied = warmed(tmp_path / "other")
    assert fetched.weights.read_bytes() == copied.weights.read_bytes() == filled.weights.read_bytes()
    assert hub.requests == []


def test_out_of_a_bucket_into_a_ready_model_and_the_hub_is_asked_nothing(
    bucket: S3Server, hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pushed_by(tmp_path / "job", monkeypatch)
    hub.clear_log()
    bucket.requests.clear()
    model = from_pretrained(NAME, cache_dir=tmp_path / "machine")
    assert hub.requests == []
    assert [request.split()[0] for request in bucket.requests] == ["GET", "GET"]
    assert model.provenance.key == made.key
    assert model.provenance.repo_id == REPO
    expected = from_pretrained(tiny, cache_dir=tmp_path / "no remote", family="v2").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_what_is_here_already_is_asked_of_nobody(web: Web, hub: LocalHub, tmp_path: Path) -> None:
    warmed(tmp_path / "machine")
    web.requests.clear()
    from_pretrained(NAME, cache_dir=tmp_path / "machine")
    assert (web.requests, hub.requests) == ([], [])


def test_a_tier_below_comes_before_the_remote_and_that_before_the_hub(
    web: Web, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed(tmp_path / "image")
    web.requests.clear()
    (made,) = prewarm([NAME], cache_dir=f"{tmp_path / 'own'}{os.pathsep}{tmp_path / 'image'}")
    assert (made.cached, web.requests, hub.requests) == (True, [], [])
    web.files.clear()
    warmed(tmp_path / "machine")
    assert len(web.requests) == 1  # no record, so no weights are asked for
    assert len(hub_paths(hub)) == 2  # the way to the file, and the file
    assert all(FILE in path for path in hub_paths(hub))


def test_nothing_of_torch_is_needed_to_fetch(web: Web, cache: Path, python: Callable[..., object]) -> None:
    python(
        "import sys\n"
        "from depthhub import prewarm\n"
        f"[made] = prewarm([{NAME!r}])\n"
        "assert not made.cached\n"
        "assert 'torch' not in sys.modules and 'huggingface_hub' not in sys.modules"
    )


def test_a_file_of_this_machine_is_converted_and_not_looked_for_there(
    web: Web, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    assert not prewarm([tiny], family="v2", cache_dir=tmp_path / "machine")[0].cached
    assert web.requests == []


def test_without_a_network_a_mounted_folder_is_asked_and_a_server_is_not(
    web: Web, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OfflineError):
        warmed(tmp_path / "machine", offline=True)
    with pytest.raises(OfflineError):
        plan(Request.parse(NAME, cache_dir=tmp_path / "machine", offline=True))
    assert web.requests == []
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    warmed(tmp_path / "machine", offline=True)


def test_what_a_prewarm_would_fetch_from_there_can_be_told(web: Web, filled: Entry, hub: LocalHub, cache: Path) -> None:
    planned = plan(Request.parse(NAME))
    assert (planned.origin, planned.bytes) == ("remote", filled.record.weights_size)
    assert web.paths() == [f"/models/{filled.key}.json"]
    assert hub.requests == []
    web.answers["json"] = answers.status(503)
    assert plan(Request.parse(NAME)).origin == "hub"


# A job that fills it


def test_it_is_only_read_until_somebody_says_push(
    hub: LocalHub, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(shelf))
    (made,) = prewarm([NAME], cache_dir=tmp_path / "machine")
    assert made.pushed is None
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    from_pretrained(NAME, cache_dir=tmp_path / "machine")  # an application fills nothing
    assert list(shelf.iterdir()) == []
    assert [one.pushed for one in prewarm([NAME], cache_dir=tmp_path / "machine")] == [True]
    assert [one.pushed for one in prewarm([NAME], cache_dir=tmp_path / "machine")] == [False]


@pytest.mark.parametrize(
    ("remote", "kind"),
    [("", SettingsError), ("http://127.0.0.1:1/models", RemoteSetupError), ("s3:///", RemoteSetupError)],
)
def test_where_nothing_can_be_pushed_to_nothing_is_downloaded(
    remote: str, kind: type[Exception], hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_REMOTE", remote)
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    with pytest.raises(kind):
        prewarm([NAME])
    assert hub.requests == []


def test_jobs_that_push_the_same_at_once_do_no_harm(
    bucket: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "depthhub", "pull", NAME, "--push", "--json", "--cache-dir"]
    jobs = [
        subprocess.Popen([*command, str(tmp_path / f"job{number}")], stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    told = [json.loads(job.communicate(timeout=120)[0]) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert any(one["pushed"] for (one,) in told)
    hub.close()
    fetched = warmed(tmp_path / "machine")
    assert bucket.client().list_objects_v2(Bucket=_bucket_of(os.environ["DEPTHHUB_REMOTE"]))["KeyCount"] == 2
    assert fetched.key == told[0][0]["key"]


def _bucket_of(address: str) -> str:
    return address.removeprefix("s3://").partition("/")[0]


def test_a_push_that_fails_is_an_error_and_the_entry_is_here(
    bucket: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.before = lambda environ: (
        ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>") if environ["REQUEST_METHOD"] != "GET" else None
    )
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    try:
        with pytest.raises(RemoteError, match="access is denied"):
            prewarm([NAME], cache_dir=tmp_path / "job")
    finally:
        bucket.before = lambda environ: None
    assert len(list(Store(tmp_path / "job").entries())) == 1


# What goes wrong there


ILLS: dict[str, tuple[str, Answer]] = {
    "it has nothing": ("", answers.status(404)),
    "it is throttled": ("", answers.status(429, Retry_After="3600")),
    "it is broken": ("", answers.status(500)),
    "access is denied": ("", answers.status(403)),
    "a page to sign in": ("", answers.instead(b"<!doctype html>", "text/html")),
    "it is silent": ("", answers.silent),
    "the weights stand still": ("safetensors", answers.stalled(100)),
    "the weights break off": ("safetensors", answers.dropped(100)),
    "the weights are a trickle": ("safetensors", answers.trickle),
    "the weights are gone": ("safetensors", answers.status(404)),
    "the weights have no end": ("safetensors", answers.endless),
    "the record is empty": ("json", answers.instead(b"")),
}
_SECONDS = {"the weights are a trickle": 12.0}  # as long as the limit for the whole lets it


@pytest.mark.parametrize("ill", ILLS)
def test_whatever_is_wrong_with_it_the_hub_is_asked_in_time(
    ill: str,
    web: Web,
    filled: Entry,
    hub: LocalHub,
    tmp_path: Path,
    hasty: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    which, answer = ILLS[ill]
    web.answers[which] = answer
    began = time.monotonic()
    made = warmed(tmp_path / "machine")
    assert time.monotonic() - began < _SECONDS.get(ill, 8.0)
    assert made.weights.read_bytes() == filled.weights.read_bytes()
    assert len(hub_paths(hub)) == 2
    assert ("The Hub is asked" in caplog.text) == (ill != "it has nothing")  # that it has not got it is no trouble


@pytest.mark.parametrize("ill", ILLS)
def test_where_the_hub_may_not_be_asked_the_same_is_an_error_in_time(
    ill: str, web: Web, hub: LocalHub, tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    which, answer = ILLS[ill]
    web.answers[which] = answer
    began = time.monotonic()
    with pytest.raises(NotFoundError if ill == "it has nothing" else RemoteError):
        warmed(tmp_path / "machine")
    assert time.monotonic() - began < _SECONDS.get(ill, 8.0)
    assert hub.requests == []
    assert list(Store(tmp_path / "machine").entries()) == []


S3_ILLS = {
    "throttled": ("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"),
    "denied": ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"),
    "without a bucket": ("404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>"),
}


@pytest.mark.parametrize("what", [".json", ".safetensors"])
@pytest.mark.parametrize("ill", S3_ILLS)
def test_of_a_bucket_too(
    ill: str, what: str, bucket: S3Server, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pushed_by(tmp_path / "job", monkeypatch)
    hub.clear_log()
    bucket.before = lambda environ: S3_ILLS[ill] if environ["PATH_INFO"].endswith(what) else None
    began = time.monotonic()
    try:
        assert warmed(tmp_path / "machine").weights.read_bytes() == made.weights.read_bytes()
        assert len(hub_paths(hub)) == 2
        hub.clear_log()
        monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
        with pytest.raises(RemoteError):
            warmed(tmp_path / "another")
    finally:
        bucket.before = lambda environ: None
    assert time.monotonic() - began < 20
    assert hub.requests == []


def test_a_store_that_is_not_there_costs_a_moment(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DEPTHHUB_REMOTE", "http://127.0.0.1:1/models")
    warmed(tmp_path / "machine")
    assert "cannot be reached" in caplog.text
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(tmp_path / "not mounted"))
    warmed(tmp_path / "other")
    assert "there is no such folder" in caplog.text


def test_where_the_hub_may_not_be_asked_it_is_not_asked_what_a_branch_is_either(
    hub: LocalHub, filled: Entry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    for source in (f"{REPO}/{FILE}", f"{REPO}@main"):
        with pytest.raises(OfflineError, match="DEPTHHUB_HUB_FALLBACK=0"):
            from_pretrained(source, family="v2")
    monkeypatch.delenv("DEPTHHUB_REMOTE")
    for call in (lambda: prewarm([NAME]), lambda: [plan(Request.parse(NAME))]):
        with pytest.raises(OfflineError, match="DEPTHHUB_HUB_FALLBACK=0"):
            call()
    assert hub.requests == []


# What is wrong in it


def forged(
    tmp_path: Path, filled: Entry, *, weights: bytes | None = None, about: dict[str, object] | None = None
) -> Entry:
    """An entry under the key of `filled`, sealed as they all are, with other weights or other facts."""
    evil = Store(tmp_path / "evil")
    with evil.stage() as staging:
        with staging.file("weights.safetensors") as staged:
            staged.write(filled.weights.read_bytes() if weights is None else weights)
        return evil.publish(filled.key, staging, about=filled.record.about if about is None else about)


def put(shelf: Path, entry: Entry) -> None:
    for path in shelf.iterdir():
        path.unlink()
    RemoteStore(str(shelf), connect_timeout=1, stall_timeout=1, total_timeout=9).push(entry)


def other_numbers(entry: Entry) -> bytes:
    content = bytearray(entry.weights.read_bytes())
    content[-1] ^= 0xFF
    return bytes(content)


def of_another_checkpoint(entry: Entry, tmp_path: Path) -> Entry:
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=7)
    (made,) = prewarm([other], family="v2", cache_dir=tmp_path / "of another")
    found = Store(tmp_path / "of another").get(made.key)
    assert found is not None
    return found


def without(facts: object, name: str) -> dict[str, object]:
    assert isinstance(facts, dict)
    return {key: value for key, value in facts.items() if key != name}


LIES: dict[str, Callable[[Entry, Path], Entry]] = {
    "made of another checkpoint": lambda entry, tmp: forged(
        tmp, entry, about={**entry.record.about, "content_hash": "0" * 64}
    ),
    "made in another way": lambda entry, tmp: forged(
        tmp, entry, about={**entry.record.about, "recipe": {**entry.record.about["recipe"], "dtype": "float16"}}
    ),
    "a record that says too little": lambda entry, tmp: forged(tmp, entry, about=without(entry.record.about, "source")),
    "a record that says nothing": lambda entry, tmp: forged(tmp, entry, about={}),
    "a place that cannot be": lambda entry, tmp: forged(
        tmp, entry, about={**entry.record.about, "filename": "../../up"}
    ),
    "the file of another checkpoint": lambda entry, tmp: forged(
        tmp, entry, weights=of_another_checkpoint(entry, tmp).weights.read_bytes()
    ),
    "a file of another kind": lambda entry, tmp: forged(tmp, entry, weights=(2).to_bytes(8, "little") + b"{}"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_sealed_lie_is_found_out_and_the_hub_is_asked(
    lie: str,
    filled: Entry,
    shelf: Path,
    hub: LocalHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(shelf, LIES[lie](filled, tmp_path))
    hub.clear_log()
    made = warmed(tmp_path / "machine")
    assert made.weights.read_bytes() == filled.weights.read_bytes()
    assert made.record.about["filename"] == FILE
    assert "is not used" in caplog.text
    assert len(hub_paths(hub)) == 2
    hub.clear_log()
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    with pytest.raises(IntegrityError, match="is not used"):
        warmed(tmp_path / "another")
    assert list(Store(tmp_path / "another").entries()) == []
    assert hub.requests == []


def test_a_record_that_promises_more_bytes_than_there_is_room_for_stops_nobody(
    filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    promise = Record(*filled.record._replace(weights_size=10**16))
    (shelf / f"{filled.key}.json").write_bytes(promise.to_bytes())
    assert warmed(tmp_path / "machine").weights.read_bytes() == filled.weights.read_bytes()
    assert "10,000,000,000,000,000 bytes are needed" in caplog.text


@pytest.mark.parametrize("spoil", ["weights", "record", "of another key"])
def test_a_bit_that_flipped_there_is_never_seen_here(
    spoil: str, filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path
) -> None:
    record, weights = shelf / f"{filled.key}.json", shelf / f"{filled.record.weights_sha256}.safetensors"
    if spoil == "of another key":
        other = filled.record._replace(key="0" * 64)
        record.write_bytes(Record(*other).to_bytes())
    else:
        path = weights if spoil == "weights" else record
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    made = warmed(tmp_path / "machine")
    assert made.weights.read_bytes() == filled.weights.read_bytes()
    assert len(hub_paths(hub)) == 2


def test_tensors_that_are_no_model_are_made_again_from_the_hub(
    filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path
) -> None:
    """Only a load finds that out: the header is right, and one of the names is not."""
    content = filled.weights.read_bytes()
    assert content.count(b'"patch_embed.proj.weight"') == 1
    put(
        shelf, forged(tmp_path, filled, weights=content.replace(b"patch_embed.proj.weight", b"patch_embed.proj.weighs"))
    )
    hub.clear_log()
    model = from_pretrained(NAME, cache_dir=tmp_path / "machine")
    assert Path(model.provenance.path).read_bytes() == content
    assert len(hub_paths(hub)) == 2


def test_which_numbers_they_must_be_only_a_lockfile_tells(
    filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A record is sealed, not signed: whoever may write into the store decides. A lockfile takes that away."""
    lockfile = tmp_path / "depthhub.lock"
    lock([NAME], lockfile, cache_dir=tmp_path / "job")
    put(shelf, forged(tmp_path, filled, weights=other_numbers(filled)))
    hub.clear_log()
    assert warmed(tmp_path / "trusting").weights.read_bytes() == other_numbers(filled)
    assert hub.requests == []
    assert warmed(tmp_path / "locked", lockfile=lockfile).weights.read_bytes() == filled.weights.read_bytes()
    assert "the remote store has converted weights of sha256" in caplog.text
    assert len(hub_paths(hub)) == 2


def test_what_its_record_says_of_the_licence_does_not_count(
    filled: Entry, shelf: Path, tmp_path: Path, hub: LocalHub
) -> None:
    put(shelf, forged(tmp_path, filled, about={**filled.record.about, "licence": "cc0-1.0"}))
    (made,) = prewarm([NAME], cache_dir=tmp_path / "machine")
    assert made.licence == "apache-2.0"  # the catalog's word
