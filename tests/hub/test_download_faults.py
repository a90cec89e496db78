"""What is not the file is never taken for it, every wait is bounded, and each cause has its own error."""

from __future__ import annotations

import email.utils
import socket
import sys
import time
from dataclasses import replace

import pytest

from depthhub.errors import HubError, HubTimeoutError, IntegrityError
from depthhub.testing import Fault
from depthhub.transfer import attempts

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_damaged_bytes_name_both_digests_and_leave_nothing(download, local_hub):
    local_hub.inject(Fault.corrupted())
    with pytest.raises(IntegrityError) as caught:
        download()
    assert caught.value.expected == download.remote.sha256
    assert len(caught.value.found) == 64
    assert caught.value.expected in str(caught.value)
    assert caught.value.found in str(caught.value)
    assert download.left == 0
    assert len(download.ranges) == 1


def test_a_file_of_another_size_is_refused_before_its_bytes_are_read(download, local_hub):
    local_hub.inject(Fault.truncated(to=1000))
    with pytest.raises(HubError, match=f"1000 bytes came; it should have {len(download.weights)}"):
        download()
    assert download.left == 0


def test_more_bytes_than_promised_are_not_written(download, local_hub):
    local_hub.inject(_Raw(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100_000)))
    with pytest.raises(HubError, match="more than 1000 bytes"):
        download(replace(download.remote, size=1000))
    assert download.left <= 1000


def test_an_answer_of_untold_length_is_taken_if_its_digest_is_right(download, local_hub):
    local_hub.inject(_Raw(b"HTTP/1.1 200 OK\r\n\r\n" + download.weights))
    assert download() == download.remote.sha256


def test_an_answer_of_untold_length_that_ends_early_is_resumed(download, local_hub):
    local_hub.inject(_Raw(b"HTTP/1.1 200 OK\r\n\r\n" + download.weights[:300_000]))
    assert download() == download.remote.sha256
    assert download.ranges == [None, "bytes=300000-"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/1004000\r\n\r\nhello",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: nothing\r\n\r\nhello",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/" + b"9" * 5000 + b"\r\n\r\nhello",
        b"HTTP/1.1 206 Partial Content\r\n\r\nhello",
        b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["other", "nonsense", "digits", "none", "refused"],
)
def test_another_part_than_the_one_asked_for_is_not_joined(download, local_hub, answer):
    local_hub.inject(Fault.drop(after=300_000))
    local_hub.inject(_Raw(answer))
    assert download() == download.remote.sha256
    assert download.ranges == [None, "bytes=300000-", None]


def test_a_compressed_file_is_refused(download, local_hub):
    local_hub.inject(_Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n..."))
    with pytest.raises(HubError, match="gzip"):
        download()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n", b"HTTP/1.1 2"])
def test_what_is_not_http_is_an_error_of_ours(download, local_hub, answer):
    local_hub.inject(_Raw(answer), times=None)
    with pytest.raises(HubError, match="tried 5 times"):
        download()


def test_a_sign_in_page_is_no_file(download, local_hub):
    local_hub.inject(Fault.html(), times=None)
    with pytest.raises(HubError, match="web page") as caught:
        download()
    assert download.settings.endpoint in str(caught.value)
    assert "HF_ENDPOINT" in str(caught.value)
    assert len(download.asked) == 1


@pytest.mark.parametrize("host", [b"a" * 300, b"a..b"])
def test_a_redirect_to_a_host_that_can_have_no_address_is_told(download, local_hub, host):
    local_hub.inject(_Raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://%s/\r\n\r\n" % host))
    with pytest.raises(HubError, match=r"Unicode|Invalid|LocationParseError"):
        download()


def test_a_redirect_circle_is_told_as_one(download, local_hub):
    local_hub.inject(Fault.redirect_loop(), times=None)
    with pytest.raises(HubError, match="redirects in a circle"):
        download()
    assert len(download.asked) == 2


def test_a_chain_of_redirects_has_an_end(download, local_hub):
    local_hub.inject(_RedirectTo(*(f"/{number}" for number in range(50))), times=None)
    with pytest.raises(HubError, match="redirects"):
        download()
    assert len(download.asked) < 20


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://[", "http://host:port/", ""])
def test_a_redirect_to_nowhere_is_an_error_of_ours(download, local_hub, place):
    local_hub.inject(_RedirectTo(*[place] * attempts.PATIENCE), times=None)
    with pytest.raises(HubError, match=r"redirects to nowhere|URL|port"):
        download()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_for_a_moment_is_asked_again(download, local_hub, status):
    local_hub.inject(Fault.status(status), times=2)
    assert download() == download.remote.sha256


def test_a_server_that_stays_busy_is_left_alone_after_some_tries(download, local_hub):
    local_hub.inject(Fault.status(503, message="Upstream is down"), times=None)
    with pytest.raises(HubError, match=r"503 \(Upstream is down\)") as caught:
        download()
    assert caught.value.status == 503
    assert not isinstance(caught.value, HubTimeoutError)
    assert len(download.asked) == attempts.PATIENCE


def test_a_wait_that_the_server_asks_for_is_granted(download, local_hub):
    local_hub.inject(Fault.status(429, retry_after=0.4))
    began = time.monotonic()
    assert download() == download.remote.sha256
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "a date"])
def test_a_wait_beyond_the_limit_is_an_error_at_once(download, local_hub, as_date):
    hour = email.utils.formatdate(time.time() + 3600, usegmt=True) if as_date else 3600
    local_hub.inject(Fault.status(429, retry_after=hour), times=None)
    began = time.monotonic()
    with pytest.raises(HubTimeoutError, match="DEPTHHUB_RETRY_AFTER_LIMIT") as caught:
        download()
    assert time.monotonic() - began < 5
    assert (caught.value.limit, caught.value.seconds, caught.value.status) == ("retry_after_limit", 1.0, 429)


def test_the_hubs_own_count_of_requests_is_a_wait_only_where_nothing_is_left(download, local_hub):
    busy = b'HTTP/1.1 %d Busy\r\nContent-Length: 0\r\nRateLimit: "resolvers";r=%d;t=240\r\n\r\n'
    for status, left in ((503, 0), (429, 17)):
        local_hub.inject(_Raw(busy % (status, left)))
        assert download() == download.remote.sha256
    local_hub.inject(_Raw(busy % (429, 0)))
    with pytest.raises(HubTimeoutError, match="asks to wait 240 s"):
        download()


@pytest.mark.parametrize("when", ["soon", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"])
def test_a_retry_after_that_says_nothing_is_no_wait(download, local_hub, when):
    local_hub.inject(Fault.status(503, retry_after=when))
    assert download() == download.remote.sha256


def test_a_server_that_never_answers_is_given_up_at_the_stall_limit(download, local_hub):
    local_hub.inject(Fault.stall(30), times=None)
    began = time.monotonic()
    with pytest.raises(HubTimeoutError, match="DEPTHHUB_STALL_TIMEOUT") as caught:
        download(stall_timeout=0.2)
    assert time.monotonic() - began < 10
    assert (caught.value.limit, caught.value.seconds) == ("stall_timeout", 0.2)
    assert len(download.asked) == 3


def test_a_pause_that_would_outlast_the_total_limit_is_not_begun(download, local_hub):
    local_hub.inject(Fault.status(503, retry_after=0.9), times=None)
    with pytest.raises(HubTimeoutError, match="503") as caught:
        download(total_timeout=0.5)
    assert (caught.value.limit, caught.value.status) == ("total_timeout", 503)


def test_a_trickle_ends_at_the_total_limit(download, local_hub):
    local_hub.inject(Fault.trickle(size=10, pause=0.02), times=None)
    began = time.monotonic()
    with pytest.raises(HubTimeoutError, match="DEPTHHUB_TOTAL_TIMEOUT") as caught:
        download(total_timeout=0.5)
    assert time.monotonic() - began < 10
    assert (caught.value.limit, caught.value.seconds) == ("total_timeout", 0.5)


def test_a_stall_does_not_outlast_the_total_limit(download, local_hub):
    local_hub.inject(Fault.stall(30, after=1000), times=None)
    began = time.monotonic()
    with pytest.raises(HubTimeoutError) as caught:
        download(stall_timeout=20, total_timeout=0.4)
    assert time.monotonic() - began < 10
    assert caught.value.limit == "total_timeout"


def test_resets_without_an_answer_end_after_some_tries(download, local_hub):
    local_hub.inject(Fault.reset(), times=None)
    with pytest.raises(HubError, match="tried 5 times"):
        download()


def test_a_closed_port_is_told_with_its_address(download):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(HubError, match=f"127.0.0.1:{port}.*refused") as caught:
        download(endpoint=f"http://127.0.0.1:{port}", connect_timeout=5)
    assert "HF_ENDPOINT" in str(caught.value)


def test_a_server_without_tls_behind_a_tls_address_is_told(download):
    with pytest.raises(HubError, match="SSL"):
        download(endpoint=download.settings.endpoint.replace("http:", "https:"))


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue is refused, not ignored, on other systems")
def test_a_black_hole_is_given_up_at_the_connect_limit(download):
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        queued = [socket.socket() for _ in range(4)]
        for client in queued:
            client.setblocking(False)
            client.connect_ex(hole.getsockname())
        with pytest.raises(HubTimeoutError, match="DEPTHHUB_CONNECT_TIMEOUT") as caught:
            download(endpoint=f"http://127.0.0.1:{hole.getsockname()[1]}", connect_timeout=0.2)
        for client in queued:
            client.close()
    assert caught.value.limit == "connect_timeout"


@pytest.mark.parametrize("endpoint", ["htp://127.0.0.1", "127.0.0.1:1", "http://127.0.0.1:port", "http://"])
def test_an_endpoint_that_is_no_address_is_an_error_of_ours(download, endpoint):
    with pytest.raises(HubError, match="could not be fetched") as caught:
        download(endpoint=endpoint)
    assert "tried" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, TimeoutError, ValueError])
def test_an_error_of_the_callback_ends_the_download_at_once(download, local_hub, error):
    def cancel(progress):
        if progress.done:
            raise error("the user has had enough")

    local_hub.inject(Fault.trickle(size=10_000, pause=0.02))
    with pytest.raises(error, match="the user has had enough"):
        download(progress=cancel)
    assert len(download.ranges) == 1
    local_hub.heal()
    assert download() == download.remote.sha256


def test_a_full_disk_is_not_taken_for_a_bad_connection(download, settings, local_hub):
    from depthhub import hub

    class FullDisk:
        size = 0

        def write(self, data):
            raise OSError(28, "No space left on device")

        def sha256(self):
            raise AssertionError

        def restart(self):
            raise AssertionError

    with pytest.raises(OSError, match="No space left"):
        hub.download(download.remote, FullDisk(), settings=settings)
    assert len(download.ranges) == 1


class _RedirectTo(Fault):
    """A redirect to one place after the other."""

    of_content = False

    def __init__(self, *places):
        object.__setattr__(self, "places", iter(places))

    def spoil(self, answer):
        return replace(answer, status=302, headers={"Location": next(self.places)}, body=b"")


class _Raw(Fault):
    """These bytes in place of an answer with content."""

    def __init__(self, data):
        object.__setattr__(self, "data", data)

    def before(self, line):
        line.send(self.data)
        line.hang_up()
