"""One error per cause: what was asked, what was found, and what to do next."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from huggingface_hub import constants

from depthhub import hub
from depthhub.errors import AccessError, HubError, NotFoundError, OfflineError
from depthhub.testing import Fault

pytest_plugins = ["depthhub.testing.plugin"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_a_missing_file_comes_with_the_names_that_are_near(download):
    with pytest.raises(NotFoundError, match=r"Did you mean dir/weights\.pth\?") as caught:
        download(replace(download.remote, filename="dir/wieghts.pth"))
    assert caught.value.suggestions == ("dir/weights.pth",)
    assert caught.value.source == f"hf://owner/repo@{download.remote.commit}/dir/wieghts.pth"


def test_a_missing_file_is_told_also_when_the_list_of_files_cannot_be_had(download, local_hub):
    local_hub.inject(Fault.html(), path="/api/models", times=None)
    with pytest.raises(NotFoundError, match=r"has no file dir/wieghts\.pth"):
        download(replace(download.remote, filename="dir/wieghts.pth"))


def test_a_missing_revision_is_told_as_one(download):
    with pytest.raises(NotFoundError, match="no branch, tag or commit v9"):
        download(replace(download.remote, commit="v9"))


@pytest.mark.parametrize("token", [None, "hf_known"], ids=["without a token", "with a token"])
def test_a_missing_repository_may_also_be_a_private_one(download, local_hub, token):
    local_hub.tokens.add("hf_known")
    with pytest.raises(NotFoundError, match=r"no model repository owner/typo .* or it is private") as caught:
        download(replace(download.remote, repo_id="owner/typo"), token=token)
    assert ("HF_TOKEN" in str(caught.value)) is (token is None)


def test_a_missing_space_is_called_a_space(download):
    with pytest.raises(NotFoundError, match="no Space owner/typo"):
        download(replace(download.remote, repo_id="owner/typo", repo_type="space"))


def test_a_private_repository_opens_to_a_token_that_may_read_it_only(download, local_hub):
    local_hub.tokens |= {"hf_friend", "hf_stranger"}
    local_hub.hide("owner/repo", allow={"hf_friend"})
    assert download(token="hf_friend") == download.remote.sha256
    for token in (None, "hf_stranger"):
        with pytest.raises(NotFoundError, match="or it is private"):
            download(token=token)


def test_a_gated_repository_says_where_to_ask_for_access(download, local_hub):
    local_hub.gate("owner/repo")
    with pytest.raises(AccessError, match="is gated") as caught:
        download()
    assert caught.value.gated
    assert f"{local_hub.endpoint}/owner/repo;" in str(caught.value)
    assert "HF_TOKEN" in str(caught.value)


def test_a_gated_repository_says_that_the_token_has_no_access_yet(download, local_hub):
    local_hub.tokens |= {"hf_friend", "hf_stranger"}
    local_hub.gate("owner/repo", allow={"hf_friend"})
    with pytest.raises(AccessError, match=r"from token=\.\.\.\) belongs to an account without access") as caught:
        download(token="hf_stranger")
    assert caught.value.gated
    assert download(token="hf_friend") == download.remote.sha256


def test_a_bad_token_is_told_as_one_on_a_public_repository(download, monkeypatch):
    with pytest.raises(AccessError, match=r"does not accept the token from token=\.\.\..*settings/tokens") as caught:
        download(token="hf_expired")
    assert not caught.value.gated
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(AccessError, match="from HF_TOKEN"):
        download()
    assert download(token=False) == download.remote.sha256


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault.status(403, message="Blocked for your country"), AccessError, "Blocked for your country"),
        (Fault.status(403, message="Access to this resource is disabled."), AccessError, "has been disabled"),
        (Fault.status(404), NotFoundError, "HF_ENDPOINT"),
        (Fault.status(401), NotFoundError, "or it is private"),
        (Fault.status(418, message="I am a\x1b[31m teapot"), HubError, r"418 came \(I am a \[31m teapot\)"),
        (Fault.html(status=403), HubError, "web page came with status 403"),
        (Fault.html(status=404), HubError, "web page came with status 404"),
    ],
    ids=["forbidden", "disabled", "404 of a mirror", "401 of a mirror", "unknown", "forbidden page", "lost page"],
)
def test_an_answer_without_the_hubs_codes_is_told_as_far_as_it_goes(download, local_hub, fault, error, words):
    local_hub.inject(fault)
    with pytest.raises(error, match=words) as caught:
        download()
    assert len(download.asked) == 1
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.source) == (str(caught.value), caught.value.source)


def test_offline_asks_nothing(download, settings):
    offline = settings._replace(offline=True)
    with pytest.raises(OfflineError, match="network may not be used"):
        download(offline=True)
    with pytest.raises(OfflineError):
        hub.list_files("owner/repo", repo_type="model", revision=None, settings=offline)
    with pytest.raises(OfflineError):
        hub.read_small_file(download.remote, settings=offline)
    assert download.asked == []


def test_a_client_that_was_imported_offline_stays_so(download, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE was set when"):
        download()
    assert download.asked == []
