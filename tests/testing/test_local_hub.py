"""What a LocalHub answers, to a plain HTTP client and to the Hub's own."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from depthhub.testing import LocalHub

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REPO = "owner/repo"
WEIGHTS = bytes(range(256)) * 20
CONFIG = b'{"model_type": "depth_anything"}\n'


@pytest.fixture(params=["model", "space"])
def repo_type(request):
    return request.param


def resolve(hub: LocalHub, filename: str, *, revision: str = "main", repo_type: str = "model") -> str:
    return f"{hub.endpoint}{'/spaces' if repo_type == 'space' else ''}/{REPO}/resolve/{revision}/{filename}"


# --- the real client


def test_the_real_client_downloads_large_and_small_files(local_hub, repo_type, tmp_path):
    from huggingface_hub import hf_hub_download

    local_hub.add_file(REPO, "sub dir/weights.pth", WEIGHTS, repo_type=repo_type)
    commit = local_hub.add_file(REPO, "config.json", CONFIG, repo_type=repo_type, lfs=False)
    options = {"repo_type": repo_type, "endpoint": local_hub.endpoint, "cache_dir": tmp_path}

    weights = Path(hf_hub_download(REPO, "sub dir/weights.pth", **options))
    config = Path(hf_hub_download(REPO, "config.json", **options))

    assert weights.read_bytes() == WEIGHTS
    assert config.read_bytes() == CONFIG
    assert commit in weights.parts
    # The client names what it stores by the ETag: git's digest of a small file, sha256 of an LFS file.
    assert weights.resolve().name == hashlib.sha256(WEIGHTS).hexdigest()
    assert config.resolve().name == hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()


def test_the_real_client_learns_whose_a_token_is(local_hub):
    from huggingface_hub import HfApi

    local_hub.tokens.add("hf_known")
    account = HfApi(endpoint=local_hub.endpoint).whoami(token="hf_known")
    assert (account["type"], account["name"]) == ("user", "local-user")


def test_the_real_client_reads_digests_and_sizes_from_the_card(local_hub, repo_type):
    from huggingface_hub import HfApi

    local_hub.add_file(REPO, "weights.pth", WEIGHTS, repo_type=repo_type)
    commit = local_hub.add_file(REPO, "config.json", CONFIG, repo_type=repo_type, lfs=False)

    info = HfApi(endpoint=local_hub.endpoint).repo_info(REPO, repo_type=repo_type, files_metadata=True)

    config, weights = info.siblings
    assert (info.id, info.sha, info.private, bool(info.gated)) == (REPO, commit, False, False)
    assert (config.rfilename, config.size, config.lfs) == ("config.json", len(CONFIG), None)
    assert config.blob_id == hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()
    assert (weights.rfilename, weights.size) == ("weights.pth", len(WEIGHTS))
    assert (weights.lfs.sha256, weights.lfs.size) == (hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS))


def test_the_real_client_asks_a_known_number_of_times(local_hub, tmp_path):
    from huggingface_hub import hf_hub_download

    commit = local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    options = {"endpoint": local_hub.endpoint, "cache_dir": tmp_path}

    hf_hub_download(REPO, "weights.pth", **options)
    assert [(asked.method, asked.host) for asked in local_hub.requests] == [("HEAD", "hub"), ("GET", "cdn")]
    local_hub.clear_log()
    hf_hub_download(REPO, "weights.pth", **options)
    assert [(asked.method, asked.host) for asked in local_hub.requests] == [("HEAD", "hub")]
    local_hub.clear_log()
    hf_hub_download(REPO, "weights.pth", revision=commit, **options)
    assert local_hub.requests == []


def test_the_real_client_takes_a_whole_snapshot(local_hub, tmp_path):
    from huggingface_hub import snapshot_download

    local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    local_hub.add_file(REPO, "config.json", CONFIG, lfs=False)

    folder = Path(snapshot_download(REPO, endpoint=local_hub.endpoint, cache_dir=tmp_path))

    assert {path.name for path in folder.iterdir()} == {"weights.pth", "config.json"}


def test_the_real_client_tells_every_kind_of_absence_apart(local_hub, tmp_path):
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    local_hub.add_file("owner/gated", "weights.pth", WEIGHTS)
    local_hub.gate("owner/gated")
    options = {"endpoint": local_hub.endpoint, "cache_dir": tmp_path}

    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("owner/other", "weights.pth", **options)
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(REPO, "weights.pth", revision="v9", **options)
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(REPO, "other.pth", **options)
    with pytest.raises(GatedRepoError):
        hf_hub_download("owner/gated", "weights.pth", **options)


def test_the_real_client_brings_its_token_to_the_hub_but_not_to_the_cdn(local_hub, tmp_path):
    from huggingface_hub import hf_hub_download

    local_hub.tokens.add("hf_known")
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    local_hub.gate(REPO)

    hf_hub_download(REPO, "weights.pth", endpoint=local_hub.endpoint, cache_dir=tmp_path, token="hf_known")

    assert [(asked.host, asked.token) for asked in local_hub.requests] == [("hub", True), ("cdn", False)]


# --- files


def test_a_large_file_is_on_another_origin(local_hub, ask):
    commit = local_hub.add_file(REPO, "weights.pth", WEIGHTS)

    told = ask(resolve(local_hub, "weights.pth"), method="HEAD")

    assert told.status == 302
    assert told.headers["X-Repo-Commit"] == commit
    assert told.headers["X-Linked-Size"] == str(len(WEIGHTS))
    assert told.headers["X-Linked-Etag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    assert told.headers["Location"].startswith(local_hub.cdn)
    assert urlsplit(local_hub.cdn).netloc != urlsplit(local_hub.endpoint).netloc
    assert ask(told.headers["Location"]).body == WEIGHTS


def test_a_small_file_is_behind_a_relative_redirect(local_hub, ask):
    commit = local_hub.add_file(REPO, "config.json", CONFIG, lfs=False)

    told = ask(resolve(local_hub, "config.json"), method="HEAD")
    place = told.headers["Location"]
    found = ask(local_hub.endpoint + place)

    assert told.status == 307
    assert place == f"/api/resolve-cache/models/{REPO}/{commit}/config.json"
    assert (found.status, found.body, found.headers["X-Repo-Commit"]) == (200, CONFIG, commit)


def test_content_on_disk_is_streamed_from_there(local_hub, ask, tmp_path):
    file = tmp_path / "weights.pth"
    with file.open("wb") as sparse:
        sparse.truncate(5 << 20)
        sparse.seek(3 << 20)
        sparse.write(b"in the middle")
    local_hub.add_file(REPO, "weights.pth", file)
    place = ask(resolve(local_hub, "weights.pth")).headers["Location"]

    assert ask(place).body == file.read_bytes()
    assert ask(place, Range=f"bytes={(3 << 20) + 3}-{(3 << 20) + 12}").body == b"the middle"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=5000-", 5000, 5120), ("bytes=-20", 5100, 5120)],
)
def test_a_range_is_answered_with_that_part(local_hub, ask, asked, start, stop):
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)

    part = ask(ask(resolve(local_hub, "weights.pth")).headers["Location"], Range=asked)

    assert part.status == 206
    assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(WEIGHTS)}"
    assert part.body == WEIGHTS[start:stop]
    assert local_hub.requests[-1].range == asked


def test_a_range_beyond_the_end_is_refused(local_hub, ask):
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)

    part = ask(ask(resolve(local_hub, "weights.pth")).headers["Location"], Range=f"bytes={len(WEIGHTS)}-")

    assert part.status == 416
    assert part.headers["Content-Range"] == f"bytes */{len(WEIGHTS)}"


def test_a_connection_serves_many_requests(local_hub):
    local_hub.add_file(REPO, "config.json", CONFIG, lfs=False)
    connection = http.client.HTTPConnection(urlsplit(local_hub.endpoint).netloc, timeout=5)
    for _ in range(3):
        connection.request("GET", f"/api/models/{REPO}")
        assert json.loads(connection.getresponse().read())["id"] == REPO
        socket = connection.sock
    assert connection.sock is socket
    connection.close()


# --- commits, branches, tags


def test_the_same_history_has_the_same_commits_everywhere():
    ids = []
    for _ in range(2):
        hub = LocalHub()
        ids.append([hub.add_file(REPO, "a", b"1"), hub.add_file(REPO, "b", b"2"), hub.remove_file(REPO, "a")])

    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3
    assert all(len(commit) == 40 and int(commit, 16) >= 0 for commit in ids[0])


def test_a_change_that_changes_nothing_is_no_commit():
    hub = LocalHub()

    assert hub.add_file(REPO, "a", b"1") == hub.add_file(REPO, "a", b"1")
    assert hub.add_file(REPO, "a", b"1") != hub.add_file(REPO, "a", b"1", lfs=False)


def test_an_old_commit_keeps_what_a_branch_has_lost(local_hub, ask):
    before = local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    after = local_hub.remove_file(REPO, "weights.pth")

    assert ask(resolve(local_hub, "weights.pth", revision=before)).status == 302
    gone = ask(resolve(local_hub, "weights.pth"))
    assert (gone.status, gone.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert gone.headers["X-Repo-Commit"] == after


def test_a_branch_grows_apart_from_main(local_hub, ask):
    on_main = local_hub.add_file(REPO, "a", b"1")
    on_branch = local_hub.add_file(REPO, "b", b"2", revision="refs/pr/1")

    assert ask(resolve(local_hub, "a", revision="refs%2Fpr%2F1")).headers["X-Repo-Commit"] == on_branch
    assert ask(resolve(local_hub, "a")).headers["X-Repo-Commit"] == on_main
    assert ask(resolve(local_hub, "b")).headers["X-Error-Code"] == "EntryNotFound"

    local_hub.add_file(REPO, "c", b"3", revision="refs/pr/1")
    assert ask(resolve(local_hub, "b", revision="refs%2Fpr%2F1")).status == 302


def test_a_tag_moves(local_hub, ask):
    first = local_hub.add_file(REPO, "a", b"1")
    second = local_hub.add_file(REPO, "a", b"2")

    for commit in (first, second, first):
        local_hub.point(REPO, "v1", commit)
        assert ask(resolve(local_hub, "a", revision="v1")).headers["X-Repo-Commit"] == commit
    with pytest.raises(LookupError, match="no commit"):
        local_hub.point(REPO, "v1", "0" * 40)


def test_a_card_tells_file_names_always_and_digests_when_asked(local_hub, ask):
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)

    brief = json.loads(ask(f"{local_hub.endpoint}/api/models/{REPO}").body)
    full = json.loads(ask(f"{local_hub.endpoint}/api/models/{REPO}/revision/main?blobs=true").body)

    assert brief["siblings"] == [{"rfilename": "weights.pth"}]
    assert full["siblings"][0]["lfs"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert brief["sha"] == full["sha"]


# --- who may in


def test_a_stranger_cannot_tell_the_missing_from_the_private(local_hub, ask):
    local_hub.tokens.update({"hf_member", "hf_other"})
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    local_hub.hide(REPO, allow={"hf_member"})
    missing = f"{local_hub.endpoint}/owner/missing/resolve/main/weights.pth"

    for headers, status in [({}, 401), ({"Authorization": "Bearer hf_other"}, 404)]:
        private = ask(resolve(local_hub, "weights.pth"), **headers)
        absent = ask(missing, **headers)
        assert private.status == absent.status == status
        assert private.headers["X-Error-Code"] == absent.headers["X-Error-Code"] == "RepoNotFound"
    assert ask(resolve(local_hub, "weights.pth"), Authorization="Bearer hf_member").status == 302


def test_a_gate_closes_the_files_but_not_the_card(local_hub, ask):
    local_hub.tokens.update({"hf_member", "hf_other"})
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    local_hub.gate(REPO, allow={"hf_member"})

    anonymous = ask(resolve(local_hub, "weights.pth"))
    other = ask(resolve(local_hub, "weights.pth"), Authorization="Bearer hf_other")
    member = ask(resolve(local_hub, "weights.pth"), Authorization="Bearer hf_member")
    card = ask(f"{local_hub.endpoint}/api/models/{REPO}?blobs=true")

    assert (anonymous.status, anonymous.headers["X-Error-Code"]) == (401, "GatedRepo")
    assert (other.status, other.headers["X-Error-Code"]) == (403, "GatedRepo")
    assert member.status == 302
    assert json.loads(card.body)["gated"] == "manual"


def test_a_token_that_nobody_knows_is_refused_for_a_public_repository_too(local_hub, ask):
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)

    refused = ask(resolve(local_hub, "weights.pth"), Authorization="Bearer hf_bad")

    assert refused.status == 401
    assert refused.headers["X-Error-Message"] == "Invalid credentials in Authorization header"
    assert "hf_bad" not in repr(local_hub.requests)


def test_whose_a_token_is_is_told_to_those_who_bring_a_known_one(local_hub, ask):
    local_hub.tokens.add("hf_known")
    question = f"{local_hub.endpoint}/api/whoami-v2"
    known, unknown = (ask(question, Authorization=f"Bearer {token}") for token in ("hf_known", "hf_unknown"))
    assert (known.status, json.loads(known.body)["name"]) == (200, "local-user")
    assert b"hf_known" not in known.body
    assert (unknown.status, ask(question).status) == (401, 401)
    assert "error" in json.loads(unknown.body)


def test_the_cdn_refuses_whoever_brings_it_a_token(local_hub, ask):
    local_hub.tokens.add("hf_known")
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    place = ask(resolve(local_hub, "weights.pth")).headers["Location"]

    assert ask(place, Authorization="Bearer hf_known").status == 400
    assert ask(place).status == 200
    assert [asked.token for asked in local_hub.requests if asked.host == "cdn"] == [True, False]


# --- life and death


def test_closing_ends_every_thread_and_connection():
    others = set(threading.enumerate())  # of a hub, for one, that serves a whole session
    with LocalHub() as hub:
        hub.add_file(REPO, "config.json", CONFIG, lfs=False)
        idle = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc, timeout=5)
        idle.request("GET", f"/api/models/{REPO}")
        idle.getresponse().read()  # and stays open
        endpoint = urlsplit(hub.endpoint).netloc
        assert any("LocalHub" in thread.name for thread in {*threading.enumerate()} - others)

    assert not any("LocalHub" in thread.name for thread in {*threading.enumerate()} - others)
    assert idle.sock.recv(1) == b""
    idle.close()
    late = http.client.HTTPConnection(endpoint, timeout=5)
    with pytest.raises(OSError):  # noqa: PT011 - refused, or reset, as the system likes
        late.request("GET", "/")
    late.close()


def test_a_hub_can_be_filled_before_it_runs_and_read_after():
    hub = LocalHub()
    hub.add_file(REPO, "a", b"1")
    with pytest.raises(RuntimeError, match="not running"):
        _ = hub.endpoint
    with hub:
        assert hub.endpoint.startswith("http://127.0.0.1:")
    hub.close()
    assert hub.requests == []


def test_a_hub_needs_neither_torch_nor_numpy_nor_the_client():
    import subprocess
    import sys

    code = (
        "import sys; from depthhub.testing import Fault, LocalHub, Size, original_shapes, transformers_config\n"
        "with LocalHub() as hub: hub.add_file('owner/repo', 'a', b'1')\n"
        "original_shapes('vitg')\n"
        "print([name for name in ('torch', 'numpy', 'huggingface_hub') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
