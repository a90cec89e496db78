"""The token goes to the Hub and to nobody else: not to the CDN, not into a message, not into a log."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace

import pytest
from huggingface_hub import constants

from depthhub import hub
from depthhub.errors import AccessError, DepthHubError
from depthhub.testing import Fault, LocalHub

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN = "hf_" + "secret" * 5


@pytest.fixture
def tokens_seen(download, local_hub):
    local_hub.tokens.add(TOKEN)

    def seen() -> list[tuple[str, bool]]:
        return [(request.host, request.token) for request in local_hub.requests]

    return seen


def test_the_cdn_never_sees_it(download, tokens_seen, local_hub):
    local_hub.inject(Fault.drop(after=1000))
    download(token=TOKEN)
    assert tokens_seen() == [("hub", True), ("cdn", False)] * 2


def test_it_stays_where_a_redirect_stays_on_the_hub(download, settings, tokens_seen, local_hub):
    commit = local_hub.add_file("owner/repo", "config.json", b"{}", lfs=False)
    local_hub.hide("owner/repo", allow={TOKEN})
    remote = hub.RemoteFile(repo_id="owner/repo", repo_type="model", commit=commit, filename="config.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        assert hub.read_small_file(remote, settings=settings) == b"{}"
    assert tokens_seen() == [("hub", True), ("hub", True)]


def test_the_environment_is_read_at_each_call(download, tokens_seen, monkeypatch):
    download()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    download()
    download(token=False)
    assert [token for host, token in tokens_seen() if host == "hub"] == [False, True, False]


def test_implicit_tokens_can_be_switched_off(download, tokens_seen, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    download()
    download(token=True)
    assert [token for host, token in tokens_seen() if host == "hub"] == [False, True]


def test_asking_for_a_stored_token_that_is_not_there_says_how_to_log_in(download):
    with pytest.raises(AccessError, match="hf auth login"):
        download(token=True)
    assert download.asked == []


def test_the_end_of_the_line_that_a_file_of_secrets_has_is_no_part_of_it(download, tokens_seen):
    download(token=f"{TOKEN}\n")
    assert ("hub", True) in tokens_seen()


@pytest.mark.parametrize("bad", [f"{TOKEN}\nX-Other: header", f"{TOKEN} {TOKEN}", f"{TOKEN}\u00e9", f"{TOKEN}\x00"])
def test_one_that_cannot_be_a_token_is_refused_unseen(download, bad):
    with pytest.raises(AccessError, match="Copy it again") as caught:
        download(token=bad)
    assert TOKEN not in everything_said(caught.value)
    assert download.asked == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(401, message="Invalid credentials in Authorization header"),
        Fault.status(403, code="GatedRepo"),
        Fault.status(404, code="RepoNotFound"),
        Fault.status(404, code="EntryNotFound"),
        Fault.status(404, code="RevisionNotFound"),
        Fault.status(403),
        Fault.status(404),
        Fault.status(418),
        Fault.status(503),
        Fault.status(429, retry_after=9999),
        Fault.html(),
        Fault.redirect_loop(),
        Fault.reset(),
        Fault.stall(10),
        Fault.stall(10, after=10),
        Fault.drop(after=0),
        Fault.corrupted(),
        Fault.truncated(to=10),
    ],
    ids=repr,
)
def test_no_error_and_no_log_shows_it(download, local_hub, caplog, fault):
    caplog.set_level(logging.DEBUG)
    local_hub.tokens.add(TOKEN)
    local_hub.inject(fault, times=None)
    with pytest.raises(DepthHubError) as caught:
        download(token=TOKEN, stall_timeout=0.1, total_timeout=1)
    assert TOKEN not in everything_said(caught.value)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(download.heard)


def test_the_signature_in_an_address_of_the_cdn_is_not_shown(download, local_hub):
    with LocalHub() as other:
        elsewhere = other.endpoint
    local_hub.inject(_SignedRedirect(f"{elsewhere}/file?X-Signature=abc123"), times=None)
    with pytest.raises(DepthHubError) as caught:
        download()
    assert elsewhere.removeprefix("http://") in str(caught.value)
    assert "abc123" not in everything_said(caught.value)


def test_a_password_in_the_endpoint_is_not_shown(download, local_hub):
    endpoint = download.settings.endpoint.replace("//", "//user:pass123@")
    with pytest.raises(DepthHubError) as caught:
        download(replace(download.remote, filename="typo.pth"), endpoint=endpoint)
    assert "pass123" not in everything_said(caught.value)


def everything_said(error: BaseException) -> str:
    chain = "".join(traceback.format_exception(error))
    attributes = repr([vars(error), error.__cause__, error.__context__])
    return chain + attributes


class _SignedRedirect(Fault):
    of_content = False

    def __init__(self, place):
        object.__setattr__(self, "place", place)

    def spoil(self, answer):
        return replace(answer, status=302, headers={"Location": self.place}, body=b"")
