"""The list of a repository's files, its small files, and the Hub's own cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download

from depthhub import hub
from depthhub.errors import AccessError, HubError, HubTimeoutError, IntegrityError, NotFoundError
from depthhub.testing import Fault

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

CONFIG = b'{"encoder": "vits"}\n'


@pytest.fixture
def list_files(settings):
    def ask(repo_id="owner/repo", *, repo_type="model", revision=None, **changes) -> hub.Listing:
        return hub.list_files(repo_id, repo_type=repo_type, revision=revision, settings=settings._replace(**changes))

    return ask


@pytest.fixture
def config(remote, local_hub, list_files) -> hub.RemoteFile:
    local_hub.add_file("owner/repo", "config.json", CONFIG, lfs=False)
    return next(file for file in list_files().files if file.filename == "config.json")


def test_one_request_tells_commit_sizes_and_digests(remote, local_hub, list_files):
    commit = local_hub.add_file("owner/repo", "config.json", CONFIG, lfs=False)
    local_hub.clear_log()
    listing = list_files()
    assert listing.commit == commit
    config, weights = listing.files
    assert weights == replace(remote, commit=commit)
    assert (config.size, config.sha256) == (len(CONFIG), None)
    assert config.git_sha1 == hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()
    assert [(request.method, request.path) for request in local_hub.requests] == [("GET", "/api/models/owner/repo")]


def test_a_branch_a_tag_and_a_commit_are_followed(remote, local_hub, list_files):
    moved = local_hub.add_file("owner/repo", "new.pth", b"new", revision="feature/new")
    local_hub.point("owner/repo", "v1", remote.commit)
    assert list_files(revision="feature/new").commit == moved
    assert list_files(revision="v1").commit == remote.commit
    assert list_files(revision=moved).commit == moved
    assert list_files().commit == remote.commit


def test_a_space_is_listed(local_hub, list_files):
    commit = local_hub.add_file("owner/demo", "weights.pth", b"weights", repo_type="space")
    assert list_files("owner/demo", repo_type="space").commit == commit


def test_names_that_could_leave_a_folder_are_not_listed(remote, local_hub, list_files):
    for name in ("../../outside.pth", "/etc/passwd", "a//b.pth", "nul", "line\nbreak.pth", "a\\b.pth"):
        local_hub.add_file("owner/repo", name, b"x")
    assert [file.filename for file in list_files().files] == [remote.filename]


def test_what_is_not_there_is_told(remote, local_hub, list_files):
    with pytest.raises(NotFoundError, match="no model repository owner/typo"):
        list_files("owner/typo")
    with pytest.raises(NotFoundError, match="no branch, tag or commit v9"):
        list_files(revision="v9")
    with pytest.raises(AccessError, match="does not accept the token"):
        list_files(token="hf_expired")


def test_a_moment_of_trouble_is_waited_out(remote, local_hub, list_files):
    local_hub.inject(Fault.status(503))
    local_hub.inject(Fault.reset())
    assert list_files().commit == remote.commit


def test_a_hub_that_never_answers_is_given_up(local_hub, list_files):
    local_hub.inject(Fault.stall(30), times=None)
    with pytest.raises(HubTimeoutError, match="stall_timeout"):
        list_files(stall_timeout=0.1)


def test_a_sign_in_page_is_no_list(remote, local_hub, list_files):
    local_hub.inject(Fault.html())
    with pytest.raises(HubError, match="web page"):
        list_files()


@pytest.mark.parametrize(
    "answer",
    [
        b"OK",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"sha": null, "siblings": []}',
        b'{"sha": "main", "siblings": []}',
        b'{"sha": "%b"}' % (b"a" * 40),
        b'{"sha": "%b", "siblings": [7]}' % (b"a" * 40),
        b'{"sha": "%b", "siblings": [{"rfilename": 7}]}' % (b"a" * 40),
        b'{"sha": "%b", "siblings": [{"rfilename": "x.pth", "size": "7"}]}' % (b"a" * 40),
        b'{"sha": "%b", "siblings": [{"rfilename": "x.pth", "lfs": {}}]}' % (b"a" * 40),
        b'{"sha": "%b", "siblings": [{"rfilename": "x.pth", "lfs": {"sha256": "7"}}]}' % (b"a" * 40),
        b'{"sha": "%b", "siblings": [{"rfilename": "x.pth", "blobId": "7"}]}' % (b"a" * 40),
        b'{"sha": "%b", "siblings": [{"rfilename": "x.pth", "blobId": 7}]}' % (b"a" * 40),
        b"[" * 100_000,
    ],
)
def test_an_answer_that_is_no_list_is_an_error_of_ours(local_hub, list_files, answer):
    local_hub.add_file("a/mirror", "api/models/owner/repo", answer, lfs=False)
    with pytest.raises(HubError, match="no list of files"):
        list_files(endpoint=f"{local_hub.endpoint}/a/mirror/resolve/main")


def test_a_mirror_that_tells_names_only_is_listed_without_digests(local_hub, list_files):
    answer = {"sha": "a" * 40, "siblings": [{"rfilename": "x.pth"}]}
    local_hub.add_file("a/mirror", "api/models/owner/repo", json.dumps(answer).encode(), lfs=False)
    (file,) = list_files(endpoint=f"{local_hub.endpoint}/a/mirror/resolve/main").files
    assert (file.size, file.sha256, file.git_sha1) == (None, None, None)


def test_a_mirror_that_ignores_the_commit_that_is_asked_for_is_an_error(local_hub, list_files):
    """Its answer would be remembered for good: a commit is not asked for again."""
    answer = json.dumps({"sha": "a" * 40, "siblings": []}).encode()
    for commit in ("a" * 40, "b" * 40):
        local_hub.add_file("a/mirror", f"api/models/owner/repo/revision/{commit}", answer, lfs=False)
    endpoint = f"{local_hub.endpoint}/a/mirror/resolve/main"
    assert list_files(revision="a" * 40, endpoint=endpoint).commit == "a" * 40
    with pytest.raises(HubError, match=f"about another commit, {'a' * 40}"):
        list_files(revision="b" * 40, endpoint=endpoint)


def test_a_small_file_is_read_and_verified(config, local_hub, settings):
    assert hub.read_small_file(config, settings=settings) == CONFIG
    local_hub.inject(Fault.drop(after=5))
    assert hub.read_small_file(config, settings=settings) == CONFIG
    local_hub.inject(Fault.drop(after=5))
    local_hub.inject(Fault.refuse_ranges())
    assert hub.read_small_file(config, settings=settings) == CONFIG
    local_hub.inject(Fault.corrupted())
    with pytest.raises(IntegrityError):
        hub.read_small_file(config, settings=settings)


def test_a_file_that_is_not_small_is_not_read(config, local_hub, settings):
    with pytest.raises(HubError, match="at most 10 are read"):
        hub.read_small_file(config, settings=settings, limit=10)
    with pytest.raises(HubError, match="at most 10 are read"):
        hub.read_small_file(replace(config, size=None, git_sha1=None), settings=settings, limit=10)


def test_a_file_in_the_hubs_own_cache_is_found_without_a_request(local_hub):
    def cached(revision, filename="dir/config.json"):
        return hub.cached_file("owner/repo", filename, repo_type="model", revision=revision)

    commit = local_hub.add_file("owner/repo", "dir/config.json", CONFIG, lfs=False)
    assert cached("main") is None
    path = hf_hub_download("owner/repo", "dir/config.json", endpoint=local_hub.endpoint)
    local_hub.clear_log()
    blob = Path(path).resolve().name  # git's sha1, since it is not in LFS
    assert cached("main") == hub.CachedFile(path=Path(path), commit=commit, digest=blob)
    assert len(blob) == 40
    assert cached(commit) == cached("main")
    assert cached("v1") is None
    assert cached("main", "config.json") is None
    assert local_hub.requests == []


def test_a_file_that_the_hubs_own_cache_knows_to_be_missing_is_not_found(remote, local_hub):
    with pytest.raises(Exception, match="404"):
        hf_hub_download("owner/repo", "other.pth", endpoint=local_hub.endpoint)
    assert list(Path(constants.HF_HUB_CACHE).rglob(".no_exist/*/other.pth"))
    assert hub.cached_file("owner/repo", "other.pth", repo_type="model", revision=remote.commit) is None


def test_a_gate_is_told_and_the_list_is_open_all_the_same(remote, local_hub, list_files):
    assert list_files().gated is False
    local_hub.gate("owner/repo")
    assert list_files().gated is True
    assert list_files().files == (remote,)
