"""What can be said of the Hub with one question: there or not, a Hub or not, the token, the limits."""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import replace

import pytest
from huggingface_hub import constants

from depthhub import hub
from depthhub.errors import AccessError, HubError, HubTimeoutError
from depthhub.testing import Fault, LocalHub
from depthhub.transfer import examination

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN = "hf_" + "secret" * 5


@pytest.fixture
def examine(settings):
    """`examine(stall_timeout=1)`: with these settings instead of the others."""
    return lambda **others: hub.examine(settings._replace(**others))


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(examination, "TOTAL", 0.6)
    monkeypatch.setattr(examination, "_MORE", 0.4)


def test_without_a_token_one_harmless_question_is_asked(examine, local_hub: LocalHub):
    state = examine()
    assert (state.reachable, state.is_hub, state.token, state.token_valid) == (True, True, None, None)
    assert (state.error, state.token_error, state.rate_limited) == (None, None, False)
    assert 0 <= state.seconds < 5
    assert state.endpoint == local_hub.endpoint
    assert [(asked.method, asked.path, asked.token) for asked in local_hub.requests] == [
        ("GET", "/api/whoami-v2", False)
    ]


def test_a_known_token_is_valid_and_has_a_user(examine, local_hub, monkeypatch):
    local_hub.tokens.add(TOKEN)
    for state in (examine(token=TOKEN), monkeypatch.setenv("HF_TOKEN", TOKEN) or examine()):
        assert (state.token_valid, state.user, state.is_hub) == (True, "local-user", True)
        assert TOKEN not in repr(state)
    assert state.token == "HF_TOKEN"


def test_an_unknown_token_is_told_and_the_hub_is_there(examine, local_hub):
    state = examine(token=TOKEN)
    assert (state.reachable, state.is_hub, state.token_valid, state.error) == (True, True, False, None)
    assert isinstance(state.token_error, AccessError)
    assert "does not accept the token from token=..." in str(state.token_error)
    assert len(local_hub.requests) == 1


@pytest.mark.parametrize("bad", [f"{TOKEN} {TOKEN}", f"{TOKEN}\u00e9"])
def test_a_text_that_is_no_token_is_not_sent_and_the_hub_is_asked_all_the_same(examine, local_hub, bad):
    state = examine(token=bad)
    assert (state.is_hub, state.token_valid) == (True, False)
    assert "Copy it again" in str(state.token_error)
    assert TOKEN not in repr(state)
    assert [asked.token for asked in local_hub.requests] == [False]


def test_a_limit_is_told_and_not_slept_on(examine, local_hub):
    local_hub.inject(Fault.status(429, retry_after=3600), times=None)
    began = time.monotonic()
    state = examine()
    assert time.monotonic() - began < 5
    assert (state.rate_limited, state.retry_after, state.reachable, state.error) == (True, 3600.0, True, None)
    assert len(local_hub.requests) == 1


def test_how_near_the_limit_is_comes_from_the_answers_headers(examine, local_hub):
    local_hub.inject(_WithHeaders({"RateLimit": '"api";r=489;t=120', "RateLimit-Policy": '"fixed";"api";q=500'}))
    state = examine()
    assert (state.left, state.reset, state.rate_limited) == (489, 120.0, False)


@pytest.mark.parametrize("status", [500, 503, 504, 408])
def test_a_hub_that_cannot_answer_is_an_error_after_one_question(examine, local_hub, status):
    local_hub.inject(Fault.status(status), times=None)
    state = examine()
    assert (state.reachable, state.error.status) == (True, status)
    assert isinstance(state.error, HubError)
    assert len(local_hub.requests) == 1


@pytest.mark.parametrize("status", [200, 401, 403, 404, 407, 511])
def test_a_web_page_is_not_a_hub(examine, local_hub, status):
    local_hub.tokens.add(TOKEN)
    for token in (False, TOKEN):
        local_hub.inject(Fault.html(status=status))
        state = examine(token=token)
        assert state.reachable
        assert not state.is_hub
        assert isinstance(state.error, HubError)


@pytest.mark.parametrize("body", [b"", b"Hello", b"[]", b'"x"', b"{", b"[" * 100_000, b"{" + b" " * 300_000 + b"}"])
@pytest.mark.parametrize("status", [200, 401])
def test_other_nonsense_is_not_a_hub_either(examine, local_hub, status, body):
    local_hub.inject(_Instead(status, body))
    state = examine()
    assert (state.reachable, state.is_hub) == (True, False)
    assert "not how a Hub answers" in str(state.error)


def test_a_mirror_that_knows_no_accounts_is_not_condemned(examine, local_hub):
    local_hub.inject(_Instead(404, b'{"error": "Not found"}'), times=None)
    state = examine(token=TOKEN)
    assert (state.reachable, state.is_hub, state.token_valid) == (True, None, None)
    assert (state.error, state.token_error) == (None, None)


def test_one_who_is_forbidden_is_told(examine, local_hub):
    local_hub.inject(Fault.status(403, message="Your address is blocked"))
    state = examine()
    assert isinstance(state.error, AccessError)
    assert "Your address is blocked" in str(state.error)


def test_a_name_of_a_user_is_printable(examine, local_hub):
    local_hub.inject(_Instead(200, b'{"name": "ann\\u001b[31m\\n' + b"x" * 500 + b'"}'))
    state = examine(token=TOKEN)
    assert state.user.startswith("ann[31mxxx")
    assert len(state.user) == 80


@pytest.mark.parametrize("fault", [Fault.stall(30), Fault.reset(), Fault.redirect_loop()], ids=repr)
def test_silence_resets_and_circles_end_soon(examine, local_hub, short, fault):
    local_hub.inject(fault, times=None)
    began = time.monotonic()
    state = examine()
    assert time.monotonic() - began < 3
    assert isinstance(state.error, HubError)
    assert state.is_hub is None


def test_a_silence_is_a_timeout(examine, local_hub, short):
    local_hub.inject(Fault.stall(30))
    state = examine()
    assert isinstance(state.error, HubTimeoutError)
    assert (state.reachable, state.error.limit) == (False, "stall_timeout")


def test_an_answer_that_never_ends_is_not_heard_to_its_end(examine, local_hub, short):
    local_hub.inject(_Slowly())
    began = time.monotonic()
    state = examine()
    assert time.monotonic() - began < 3
    assert isinstance(state.error, HubTimeoutError)
    assert state.reachable


def test_a_port_where_nobody_is_is_not_reachable(examine):
    with LocalHub() as gone:
        endpoint = gone.endpoint
    state = examine(endpoint=endpoint)
    assert (state.reachable, state.is_hub) == (False, None)
    assert "HF_ENDPOINT" in str(state.error)


def test_a_resolver_that_never_answers_is_not_waited_for(examine, short, monkeypatch):
    # No library bounds it, and nothing but the end of the process would end it.
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(5) or [])
    began = time.monotonic()
    state = examine(endpoint="http://hub.invalid")
    assert time.monotonic() - began < 3
    assert isinstance(state.error, HubTimeoutError)


@pytest.mark.parametrize("how", ["setting", "client"])
def test_offline_nothing_is_asked(examine, local_hub, monkeypatch, how):
    if how == "client":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    state = examine(offline=how == "setting")
    assert "HF_HUB_OFFLINE" in state.offline
    assert (state.reachable, state.error) == (None, None)
    assert local_hub.requests == []


def test_a_password_in_the_endpoint_is_not_shown(examine, local_hub):
    endpoint = local_hub.endpoint.replace("//", "//user:pass123@")
    local_hub.inject(Fault.html())
    assert "pass123" not in f"{examine(endpoint=endpoint)!r}{examine(endpoint=endpoint).error}"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(401),
        Fault.status(403),
        Fault.status(418),
        Fault.status(429),
        Fault.status(503),
        Fault.html(),
        Fault.reset(),
        Fault.redirect_loop(),
    ],
    ids=repr,
)
def test_the_token_is_in_nothing_that_is_said(examine, local_hub, caplog, fault):
    caplog.set_level(logging.DEBUG)
    local_hub.tokens.add(TOKEN)
    local_hub.inject(fault, times=None)
    state = examine(token=TOKEN)
    assert TOKEN not in f"{state!r}{state.error}{state.token_error}{vars(state.error) if state.error else ''}"
    assert TOKEN not in caplog.text


class _WithHeaders(Fault):
    of_content = False

    def __init__(self, headers):
        object.__setattr__(self, "headers", headers)

    def spoil(self, answer):
        return replace(answer, headers={**answer.headers, **self.headers})


class _Instead(Fault):
    of_content = False

    def __init__(self, status, body):
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "body", body)

    def spoil(self, answer):
        return replace(answer, status=self.status, headers={"Content-Type": "application/json"}, body=self.body)


class _Slowly(Fault):
    of_content = False

    def send(self, answer, line):
        for _ in range(100):
            line.send(b" ")
            line.wait(0.1)

    def spoil(self, answer):
        return replace(answer, status=200, body=b" " * 100)
