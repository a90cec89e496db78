"""Every fault does to a plain HTTP client what it says, as often as it was told to, and to nobody else."""

from __future__ import annotations

import http.client
import threading
import time

import pytest

from depthhub.testing import Fault, LocalHub

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REPO = "owner/repo"
WEIGHTS = bytes(range(256)) * 20
SIZE = len(WEIGHTS)


@pytest.fixture
def hub(local_hub):
    local_hub.add_file(REPO, "weights.pth", WEIGHTS)
    local_hub.add_file(REPO, "config.json", b"{}", lfs=False)
    return local_hub


@pytest.fixture
def weights(hub, ask):
    """The address of the weights' bytes."""
    place = ask(f"{hub.endpoint}/{REPO}/resolve/main/weights.pth").headers["Location"]
    hub.clear_log()
    return place


@pytest.fixture
def card(hub):
    return f"{hub.endpoint}/api/models/{REPO}"


def test_a_drop_ends_the_body_short_of_its_content_length(hub, weights, ask):
    hub.inject(Fault.drop(after=1000))

    with pytest.raises(http.client.IncompleteRead) as dropped:
        ask(weights)

    assert dropped.value.partial == WEIGHTS[:1000]
    assert dropped.value.expected == SIZE - 1000
    assert ask(weights).body == WEIGHTS


def test_a_reset_comes_after_some_of_the_body(hub, weights, ask):
    hub.inject(Fault.reset(after=1000))

    with pytest.raises(ConnectionResetError):
        ask(weights)

    assert [asked.status for asked in hub.requests] == [200]
    assert ask(weights).body == WEIGHTS


def test_a_reset_comes_in_place_of_an_answer(hub, card, ask):
    hub.inject(Fault.reset())

    with pytest.raises(ConnectionResetError):
        ask(card)

    assert [asked.status for asked in hub.requests] == [None]
    assert ask(card).status == 200


def test_a_stall_sends_nothing_for_a_while_and_then_goes_on(hub, weights, ask):
    hub.inject(Fault.stall(0.3, after=1000), times=2)

    started = time.monotonic()
    assert ask(weights).body == WEIGHTS
    assert time.monotonic() - started >= 0.3
    with pytest.raises(TimeoutError):
        ask(weights, timeout=0.1)


def test_a_stall_comes_before_an_answer(hub, card, ask):
    hub.inject(Fault.stall(0.3))

    with pytest.raises(TimeoutError):
        ask(card, timeout=0.1)
    # The request is logged when it comes, not when the silence is over.
    assert [asked.status for asked in hub.requests] == [200]


def test_closing_the_hub_interrupts_a_stall(ask):
    others = set(threading.enumerate())
    with LocalHub() as hub:
        hub.add_file(REPO, "config.json", b"{}", lfs=False)
        hub.inject(Fault.stall(3600))
        card = f"{hub.endpoint}/api/models/{REPO}"
        ended = threading.Event()

        def wait_for_the_answer() -> None:
            with pytest.raises(http.client.RemoteDisconnected):
                ask(card, timeout=60)
            ended.set()

        client = threading.Thread(target=wait_for_the_answer)
        client.start()
        while not hub.requests:
            time.sleep(0.01)
        started = time.monotonic()

    client.join(5)
    assert ended.is_set()
    assert time.monotonic() - started < 5
    assert not any("LocalHub" in thread.name for thread in {*threading.enumerate()} - others)


def test_a_trickle_takes_its_time_but_never_times_out(hub, weights, ask):
    hub.inject(Fault.trickle(size=1024, pause=0.06))

    started = time.monotonic()
    assert ask(weights, timeout=1).body == WEIGHTS
    assert time.monotonic() - started >= 4 * 0.06  # between five pieces


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_status_comes_with_its_retry_after_and_codes(hub, card, ask, status):
    hub.inject(Fault.status(status, retry_after=7, code="SomeCode", message="Some message"))

    refused = ask(card)

    assert refused.status == status
    assert refused.headers["Retry-After"] == "7"
    assert refused.headers["X-Error-Code"] == "SomeCode"
    assert refused.headers["X-Error-Message"] == "Some message"
    assert ask(card).status == 200


def test_a_status_has_no_retry_after_unless_told(hub, card, ask):
    hub.inject(Fault.status(503))

    refused = ask(card)

    assert refused.headers["Retry-After"] is None
    assert refused.headers["X-Error-Code"] is None


def test_a_truncated_file_is_honest_about_its_length(hub, weights, ask):
    hub.inject(Fault.truncated(to=1000), times=3)

    whole = ask(weights)
    part = ask(weights, Range="bytes=900-")
    beyond = ask(weights, Range="bytes=2000-")

    assert (whole.status, whole.headers["Content-Length"], whole.body) == (200, "1000", WEIGHTS[:1000])
    assert (part.status, part.headers["Content-Range"]) == (206, "bytes 900-999/1000")
    assert beyond.status == 416


def test_a_corrupted_file_has_the_right_size_and_one_wrong_byte(hub, weights, ask):
    hub.inject(Fault.corrupted())
    hub.inject(Fault.corrupted(at=10))

    for at in (SIZE // 2, 10):
        spoiled = ask(weights)
        assert spoiled.headers["Content-Length"] == str(SIZE)
        assert [place for place in range(SIZE) if spoiled.body[place] != WEIGHTS[place]] == [at]


def test_a_corrupted_byte_stays_where_it_is_whatever_range_is_asked(hub, weights, ask):
    hub.inject(Fault.corrupted(at=100), times=None)

    assert ask(weights, Range="bytes=101-").body == WEIGHTS[101:]
    assert ask(weights, Range="bytes=0-99").body == WEIGHTS[:100]
    assert ask(weights, Range="bytes=100-101").body == bytes([WEIGHTS[100] ^ 0xFF, WEIGHTS[101]])


def test_a_web_page_comes_in_place_of_an_answer(hub, card, weights, ask):
    hub.inject(Fault.html(), times=2)

    for url in (card, weights):
        page = ask(url)
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
        assert page.body.startswith(b"<!DOCTYPE html>")
        assert page.headers["ETag"] is None


@pytest.mark.parametrize("host", ["hub", "cdn"])
def test_a_redirect_loop_never_ends(hub, card, weights, ask, host):
    hub.inject(Fault.redirect_loop(), host=host)
    url, origin = (card, hub.endpoint) if host == "hub" else (weights, hub.cdn)

    for _ in range(30):
        led = ask(url)
        assert led.status == 302
        url = origin + led.headers["Location"]


def test_a_server_may_refuse_ranges(hub, weights, ask):
    hub.inject(Fault.refuse_ranges())

    whole = ask(weights, Range="bytes=1000-")

    assert (whole.status, whole.body, whole.headers["Content-Range"]) == (200, WEIGHTS, None)
    assert ask(weights, Range="bytes=1000-").status == 206


def test_an_answer_may_lack_headers(hub, ask):
    hub.inject(Fault.without_headers("x-repo-commit", "X-Linked-Etag"), method="HEAD")
    url = f"{hub.endpoint}/{REPO}/resolve/main/weights.pth"

    told = ask(url, method="HEAD")

    assert (told.status, told.headers["X-Repo-Commit"], told.headers["X-Linked-Etag"]) == (302, None, None)
    assert told.headers["X-Linked-Size"] == str(SIZE)
    assert ask(url, method="HEAD").headers["X-Repo-Commit"] is not None


# --- whom a fault strikes


def test_a_fault_strikes_as_often_as_told(hub, card, ask):
    hub.inject(Fault.status(503), times=2)
    assert [ask(card).status for _ in range(3)] == [503, 503, 200]

    hub.inject(Fault.status(503), times=None)
    assert [ask(card).status for _ in range(3)] == [503, 503, 503]
    hub.heal()
    assert ask(card).status == 200

    with pytest.raises(ValueError, match="times=0"):
        hub.inject(Fault.status(503), times=0)


def test_a_fault_strikes_only_what_fits_its_path_method_and_host(hub, card, weights, ask):
    hub.inject(Fault.status(500), path="weights.pth", method="GET", host="cdn")
    hub.inject(Fault.status(501), method="HEAD")

    assert ask(card).status == 200
    assert ask(f"{hub.endpoint}/{REPO}/resolve/main/weights.pth").status == 302
    assert ask(weights, method="HEAD").status == 501
    assert ask(weights).status == 500
    assert ask(weights).status == 200


def test_a_fault_of_content_waits_for_content(hub, card, weights, ask):
    hub.inject(Fault.drop(after=1))

    assert ask(card).status == 200
    assert ask(f"{hub.endpoint}/{REPO}/resolve/main/weights.pth").status == 302
    assert ask(weights, method="HEAD").status == 200
    with pytest.raises(http.client.IncompleteRead):
        ask(weights)


def test_a_small_file_has_content_too(hub, ask):
    hub.inject(Fault.truncated(to=1))
    place = ask(f"{hub.endpoint}/{REPO}/resolve/main/config.json").headers["Location"]

    cut = ask(hub.endpoint + place)

    assert cut.body == b"{"
    assert cut.headers["X-Repo-Commit"] is not None


def test_faults_strike_one_by_one_in_the_order_of_injection(hub, weights, ask):
    hub.inject(Fault.status(500))
    hub.inject(Fault.status(503))

    assert [ask(weights).status for _ in range(3)] == [500, 503, 200]
    faults = [asked.fault for asked in hub.requests]
    assert faults == [Fault.status(500), Fault.status(503), None]


def test_what_a_drop_left_out_can_be_asked_for(hub, weights, ask):
    hub.inject(Fault.drop(after=1000))

    with pytest.raises(http.client.IncompleteRead) as dropped:
        ask(weights)
    rest = ask(weights, Range="bytes=1000-")

    assert dropped.value.partial + rest.body == WEIGHTS
    assert [(asked.status, asked.range) for asked in hub.requests] == [(200, None), (206, "bytes=1000-")]
