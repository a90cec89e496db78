"""A file arrives whole, verified, with one request where one is enough, and resumed where it is not."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from depthhub import hub
from depthhub.errors import IntegrityError
from depthhub.testing import Fault
from depthhub.transfer import attempts

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def _start(asked: str) -> int:
    return int(asked.removeprefix("bytes=").removesuffix("-"))


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_every_byte_arrives_and_the_digest_is_of_what_is_there(download):
    assert download() == download.remote.sha256
    assert download.content == download.weights


def test_a_pinned_file_costs_one_request_and_the_redirect_that_it_meets(download):
    download()
    assert download.asked == [("hub", 302, None), ("cdn", 200, None)]


def test_the_client_asks_nothing_of_its_own_in_a_fresh_process(download, hub_environment):
    program = (
        "import json, sys; from depthhub import hub; from depthhub.settings import Settings\n"
        "hub.read_small_file(hub.RemoteFile(**json.loads(sys.argv[1])), settings=Settings.resolve(), limit=10**9)"
    )
    remote = json.dumps({name: getattr(download.remote, name) for name in download.remote.__dataclass_fields__})
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", program, remote], env=environment, check=True)
    assert download.asked == [("hub", 302, None), ("cdn", 200, None)]


def test_a_file_of_a_space_arrives(download, local_hub):
    commit = local_hub.add_file("owner/demo", "weights.pth", download.weights, repo_type="space")
    remote = replace(download.remote, repo_id="owner/demo", repo_type="space", commit=commit, filename="weights.pth")
    assert download(remote) == remote.sha256


def test_a_small_file_without_sha256_is_verified_by_gits_own_name_for_it(download, local_hub):
    content = b'{"encoder": "vits"}\n'
    commit = local_hub.add_file("owner/repo", "config.json", content, lfs=False)
    remote = replace(
        download.remote,
        commit=commit,
        filename="config.json",
        size=len(content),
        sha256=None,
        git_sha1=git_sha1(content),
    )
    assert download(remote) == hashlib.sha256(content).hexdigest()
    local_hub.inject(Fault.corrupted())
    with pytest.raises(IntegrityError, match="git's sha1") as caught:
        download(remote)
    assert caught.value.expected == git_sha1(content)


def test_gits_name_is_compared_where_only_the_answer_tells_the_size(download, local_hub):
    content = b'{"encoder": "vits"}\n'
    commit = local_hub.add_file("owner/repo", "config.json", content, lfs=False)
    promised = {"commit": commit, "filename": "config.json", "size": None, "sha256": None}
    assert download(replace(download.remote, **promised, git_sha1=git_sha1(content)))
    with pytest.raises(IntegrityError, match="git's sha1"):
        download(replace(download.remote, **promised, git_sha1=git_sha1(b"x" * len(content))))


def test_a_file_that_nobody_promised_a_digest_of_is_taken_as_it_comes(download):
    assert download(replace(download.remote, sha256=None)) == download.remote.sha256


def test_progress_goes_from_nothing_to_everything_and_is_not_told_for_each_chunk(download, local_hub):
    local_hub.inject(Fault.trickle(size=len(download.weights) // 200, pause=0.002))
    began = time.monotonic()
    download()
    done = [progress.done for progress in download.heard]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(download.weights))
    assert len(done) <= (time.monotonic() - began) / 0.1 + 3
    assert {progress.total for progress in download.heard} == {len(download.weights)}
    assert {progress.stage for progress in download.heard} == {"downloading"}


@pytest.mark.parametrize("fault", [Fault.drop(after=300_000), Fault.reset(after=300_000)], ids=["drop", "reset"])
def test_a_broken_connection_is_resumed_where_it_broke(download, local_hub, fault):
    local_hub.inject(fault)
    assert download() == download.remote.sha256
    assert download.content == download.weights
    first, second = download.ranges
    assert first is None
    assert 0 < _start(second) <= 300_000
    assert any("trying again" in progress.detail for progress in download.heard)


def test_a_stalled_connection_is_given_up_and_resumed(download, local_hub):
    local_hub.inject(Fault.stall(10, after=300_000))
    assert download(stall_timeout=0.5) == download.remote.sha256
    first, second = download.ranges
    assert first is None
    assert 290_000 < _start(second) <= 300_000


def test_a_connection_that_breaks_again_and_again_is_resumed_as_long_as_bytes_come(download, local_hub):
    times = attempts.PATIENCE * 3
    local_hub.inject(Fault.drop(after=50_000), times=times)
    assert download() == download.remote.sha256
    assert len(download.ranges) == times + 1


def test_a_server_that_knows_no_ranges_sends_everything_again(download, local_hub):
    local_hub.inject(Fault.drop(after=300_000))
    local_hub.inject(Fault.refuse_ranges())
    assert download() == download.remote.sha256
    assert download.content == download.weights
    assert download.ranges == [None, "bytes=300000-"]


def test_a_damaged_rest_is_fetched_once_more_from_the_first_byte(download, local_hub):
    local_hub.inject(Fault.drop(after=300_000))
    local_hub.inject(Fault.corrupted(at=900_000))
    assert download() == download.remote.sha256
    assert download.ranges == [None, "bytes=300000-", None]


def test_a_version_that_changes_between_two_tries_is_begun_anew(download, local_hub):
    new = download.weights[::-1]

    def move_the_branch(progress):
        if progress.detail:
            local_hub.add_file("owner/repo", "dir/weights.pth", new)

    local_hub.inject(Fault.drop(after=300_000))
    branch = replace(download.remote, commit="main", size=None, sha256=None)
    assert download(branch, progress=move_the_branch) == hashlib.sha256(new).hexdigest()
    assert download.content == new


def test_without_a_digest_and_an_etag_nothing_is_joined(download, local_hub):
    local_hub.inject(_DropWithoutEtag())
    assert download(replace(download.remote, sha256=None)) == download.remote.sha256
    assert download.ranges == [None, None]


class _DropWithoutEtag(Fault):
    def spoil(self, answer):
        return replace(answer, headers={k: v for k, v in answer.headers.items() if k != "ETag"})

    def send(self, answer, line):
        for chunk in answer.read(0, 300_000):
            line.send(chunk)
        line.hang_up()


def test_threads_download_side_by_side(download, settings):
    digests = []

    def fetch():
        content = hub.read_small_file(download.remote, settings=settings, limit=10**9)
        digests.append(hashlib.sha256(content).hexdigest())

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [download.remote.sha256] * 4
