"""A remote that any web server serves, and everything that web servers do."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub_cache.errors import RemoteError
from depthhub_cache.remote import RemoteStore
from depthhub_cache.store import Entry, Store

from ..samples import files_under, publish, weights_of
from . import web as answers
from .places import fetched, objects_of, record_name, remote_at, weights_name
from .web import Answer, Web

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

QUICK = {"connect_timeout": 2.0, "stall_timeout": 2.0, "total_timeout": 10.0}


@pytest.fixture
def entry(store: Store, web: Web) -> Entry:
    """What the web server has, as the job has put it there."""
    made = publish(store, "vits", data=weights_of("vits", 300_000))
    web.files = {f"/models/{name}": data for name, data in objects_of(made).items()}
    return made


@pytest.fixture
def remote(web: Web) -> RemoteStore:
    return remote_at(f"{web.url}/models", **QUICK)


def test_an_entry_is_fetched_with_two_plain_requests(
    web: Web, remote: RemoteStore, entry: Entry, another: Store
) -> None:
    there = fetched(remote, entry, another)
    assert there is not None
    assert there.weights.read_bytes() == entry.weights.read_bytes()
    assert [(method, path) for method, path, _ in web.requests] == [
        ("GET", f"/models/{record_name(entry)}"),
        ("GET", f"/models/{weights_name(entry)}"),
    ]
    assert {headers["accept-encoding"] for _, _, headers in web.requests} == {"identity"}


def test_a_server_that_knows_ranges_does_as_well(web: Web, remote: RemoteStore, entry: Entry, another: Store) -> None:
    web.answers["s"] = answers.with_ranges
    assert fetched(remote, entry, another)


def test_what_is_not_there_is_not_there(web: Web, remote: RemoteStore, another: Store, entry: Entry) -> None:
    web.files.clear()
    assert remote.record(entry.key) is None
    assert fetched(remote, entry, another) is None


def test_a_new_object_is_seen_at_once(web: Web, remote: RemoteStore, entry: Entry, another: Store) -> None:
    files, web.files = web.files, {}
    assert fetched(remote, entry, another) is None
    web.files = files
    assert fetched(remote, entry, another)


def test_the_assets_of_a_release_are_reached_through_their_redirects_and_the_password_stays_here(
    web: Web, entry: Entry, another: Store
) -> None:
    with Web().serving() as elsewhere:
        elsewhere.files = {f"/storage{path[7:]}": data for path, data in web.files.items()}
        web.answers[""] = answers.redirected(f"{elsewhere.url}/storage/")
        there = fetched(remote_at(f"http://me:hunter2@{web.url[7:]}/models", **QUICK), entry, another)
        assert there is not None
        assert there.weights.read_bytes() == entry.weights.read_bytes()
        password = base64.b64encode(b"me:hunter2").decode()
        assert [headers["authorization"] for _, _, headers in web.requests] == [f"Basic {password}"] * 2
        assert len(elsewhere.requests) == 2
        assert not any("authorization" in headers for _, _, headers in elsewhere.requests)


def test_a_query_goes_with_every_request_and_is_not_told(web: Web, entry: Entry, another: Store) -> None:
    remote = remote_at(f"{web.url}/models?sig=a%2Bb&x=geheim", **QUICK)
    assert fetched(remote, entry, another)
    assert all(path.endswith("?sig=a%2Bb&x=geheim") for path in web.paths())
    web.answers[".json"] = answers.status(403)
    with pytest.raises(RemoteError) as raised:
        remote.record(entry.key)
    assert "geheim" not in f"{raised.value!s} {vars(raised.value)} {raised.value.__cause__}"


FAULTS: dict[str, tuple[Answer, str]] = {
    "401": (answers.status(401), r"access is denied \(HTTP 401\)"),
    "403": (answers.status(403), r"access is denied .*HTTP 403"),
    "429": (answers.status(429, Retry_After="1"), "asked too often"),
    "500": (answers.status(500), r"internal server error \(HTTP 500\)"),
    "503": (answers.status(503), "asked too often, or not ready"),
    "599": (answers.status(599), "HTTP 599"),
    "a circle": (answers.redirected("/models/"), "redirects without an end"),
    "another protocol": (answers.redirected("ftp://127.0.0.1/"), "something else than HTTP|nobody expected"),
    "a web page": (answers.instead(b"<!doctype html><title>Sign in", "text/html"), "web page|ended after|more than"),
    "silence": (answers.silent, "in time|nothing came for"),
    "a stall at once": (answers.stalled(0), "in time|nothing came for"),
    "a stall": (answers.stalled(100), "in time|nothing came for"),
    "a drop at once": (answers.dropped(0), "broke off"),
    "a drop": (answers.dropped(100), "broke off"),
    "nothing": (answers.instead(b""), "is no record|ended after 0"),
    "endless": (answers.endless, "larger than|more than"),
    "compressed": (answers.compressed, "is no record|ended after|more than"),
}


@pytest.mark.parametrize("what", ["json", "safetensors"])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_goes_wrong_is_one_clear_error_and_leaves_nothing(
    fault: str, what: str, web: Web, remote: RemoteStore, entry: Entry, another: Store
) -> None:
    answer, reason = FAULTS[fault]
    web.answers[what] = answer
    began = time.monotonic()
    with pytest.raises(RemoteError, match=reason) as raised:
        fetched(remote, entry, another)
    assert time.monotonic() - began < 4
    assert raised.value.url == f"{web.url}/models"
    assert raised.value.key == entry.key
    assert raised.value.__cause__ is None
    assert files_under(another.root / "v1") == {}
    web.answers.clear()
    assert fetched(remote, entry, another)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: bytes(len(data)),
        lambda data: weights_of("vitx", 300_000),
    ],
    ids=["too short", "too long", "a bit at the start", "a bit at the end", "zeros", "another's"],
)
@pytest.mark.parametrize("name", [record_name, weights_name])
def test_wrong_bytes_are_never_an_entry(
    spoil: Callable[[bytes], bytes],
    name: Callable[[Entry], str],
    web: Web,
    remote: RemoteStore,
    entry: Entry,
    another: Store,
) -> None:
    path = f"/models/{name(entry)}"
    web.files[path] = spoil(web.files[path])
    with pytest.raises(RemoteError):
        fetched(remote, entry, another)
    assert files_under(another.root / "v1") == {}


def test_no_more_is_read_than_the_record_promises(web: Web, remote: RemoteStore, entry: Entry, another: Store) -> None:
    web.answers["safetensors"] = answers.endless
    told: list[int] = []
    with pytest.raises(RemoteError, match="has more than the"):
        remote.fetch(entry.key, another, check=lambda r: None, progress=lambda done, total: told.append(done))
    assert max(told, default=0) <= entry.record.weights_size


def test_a_trickle_ends_at_the_total_limit(web: Web, entry: Entry, another: Store) -> None:
    web.answers["safetensors"] = answers.trickle
    began = time.monotonic()
    with pytest.raises(RemoteError, match=r"not done after 1 s.*DEPTHHUB_TOTAL_TIMEOUT=SECONDS"):
        fetched(remote_at(f"{web.url}/models", stall_timeout=0.7, total_timeout=1.0), entry, another)
    assert time.monotonic() - began < 2
    assert files_under(another.root / "v1") == {}


def test_a_server_that_is_not_there_is_told(store: Store, another: Store) -> None:
    with pytest.raises(RemoteError, match="cannot be reached"):
        fetched(remote_at("http://127.0.0.1:1/models", **QUICK), publish(store, "vits"), another)


def test_a_name_and_a_password_of_the_users_own_file_are_used(
    web: Web, remote: RemoteStore, entry: Entry, another: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert fetched(remote, entry, another)
    assert all("authorization" in headers for _, _, headers in web.requests)


def test_what_fsspec_is_configured_with_is_kept_beside_our_own(
    web: Web, remote: RemoteStore, entry: Entry, another: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.config import conf

    monkeypatch.setitem(conf, "http", {"client_kwargs": {"headers": {"X-Team": "vision"}}})
    assert fetched(remote, entry, another)
    assert {(sent["x-team"], sent["accept-encoding"]) for _, _, sent in web.requests} == {("vision", "identity")}
