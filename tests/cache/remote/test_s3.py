"""A remote in a bucket, of AWS or of what speaks like it, as its users set it up and as it fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from depthhub_cache.errors import BrokenEntryError, RemoteError
from depthhub_cache.store import Store

from ..samples import hash_of, publish, weights_of
from .places import LARGE, BucketShelf, fetched, objects_of, record_name, remote_at, weights_name
from .s3_server import NOT_IMPLEMENTED, Environ, S3Server
from .web import Web, silent

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def error_of(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>the key is a-secret-key</Message></Error>".encode()


def test_each_object_carries_its_sha256(bucket: BucketShelf, store: Store) -> None:
    entry = publish(store, "vits")
    remote_at(bucket.url).push(entry)
    for name, data in objects_of(entry).items():
        head = bucket.client.head_object(Bucket=bucket.bucket, Key=f"some/folder/{name}")
        assert head["Metadata"] == {"sha256": hash_of(data)}


def test_a_bucket_itself_may_be_the_remote(bucket: BucketShelf, store: Store, another: Store) -> None:
    entry = publish(store, "vits")
    remote_at(f"s3://{bucket.bucket}").push(entry)
    assert sorted(bucket.names()) == sorted(objects_of(entry))
    assert fetched(remote_at(f"s3://{bucket.bucket}/"), entry, another)


def test_an_entry_is_fetched_with_two_requests_and_a_new_object_is_seen_at_once(
    bucket: BucketShelf, s3: S3Server, store: Store, another: Store
) -> None:
    entry, remote = publish(store, "vits"), remote_at(bucket.url)
    assert fetched(remote, entry, another) is None
    remote.push(entry)
    s3.requests.clear()
    assert fetched(remote, entry, another)
    assert s3.requests == [
        f"GET /{bucket.bucket}/some/folder/{name}?" for name in (record_name(entry), weights_name(entry))
    ]


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "FSSPEC_S3"])
def test_a_store_of_ones_own_is_named_in_the_environment(
    variable: str, bucket: BucketShelf, s3: S3Server, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = publish(store, "vits")
    remote_at(bucket.url).push(entry)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv(variable, f'{{"endpoint_url": "{s3.url}"}}' if variable == "FSSPEC_S3" else s3.url)
    code = (
        "from depthhub_cache.remote import RemoteStore\n"
        f"remote = RemoteStore({bucket.url!r}, connect_timeout=3, stall_timeout=3, total_timeout=9)\n"
        f"print(remote.record({entry.key!r}).weights_sha256)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout
    assert said.strip() == entry.record.weights_sha256


def test_without_credentials_that_is_said_and_a_public_bucket_needs_none(
    bucket: BucketShelf, s3: S3Server, store: Store, another: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.config import conf

    entry = publish(store, "vits")
    remote_at(bucket.url).push(entry)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(RemoteError, match=r"no credentials were found .*FSSPEC_S3_ANON=true"):
        fetched(remote_at(bucket.url), entry, another)
    monkeypatch.setitem(conf, "s3", {"anon": True})
    assert fetched(remote_at(bucket.url), entry, another)


def test_a_bucket_that_is_not_there_is_an_error(s3: S3Server, store: Store, another: Store) -> None:
    entry, remote = publish(store, "vits"), remote_at("s3://no-such-bucket/models")
    with pytest.raises(RemoteError, match="there is no such bucket"):
        fetched(remote, entry, another)
    with pytest.raises(RemoteError, match="no such bucket"):
        remote.push(entry)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ("403 Forbidden", "AccessDenied", r"access is denied .*\(AccessDenied, HTTP 403\)"),
        ("503 Service Unavailable", "SlowDown", r"asked too often, or not ready \(SlowDown, HTTP 503\)"),
        ("500 Internal Server Error", "InternalError", r"\(InternalError, HTTP 500\)"),
        ("400 Bad Request", "ExpiredToken", r"bad request \(ExpiredToken, HTTP 400\)"),
    ],
)
def test_what_the_store_says_is_told_by_its_code_and_nothing_else_of_it(
    status: str, code: str, reason: str, bucket: BucketShelf, s3: S3Server, store: Store, another: Store
) -> None:
    entry, remote = publish(store, "vits"), remote_at(bucket.url, total_timeout=8.0)
    s3.before = lambda environ: (status, error_of(code))
    began = time.monotonic()
    with pytest.raises(RemoteError, match=reason) as raised:
        fetched(remote, entry, another)
    assert "secret" not in f"{raised.value} {vars(raised.value)}"
    assert raised.value.__cause__ is None
    assert time.monotonic() - began < 8


def test_a_store_that_is_silent_or_not_there_is_told_in_time(
    web: Web, s3: S3Server, store: Store, another: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answers[""] = silent
    entry = publish(store, "vits")
    for endpoint, stall, reason in (
        (web.url, 0.2, r"nothing came for 0\.7 s|in time"),
        ("http://127.0.0.1:1", 3.0, "cannot be reached"),
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        began = time.monotonic()
        with pytest.raises(RemoteError, match=reason):
            fetched(remote_at("s3://models", connect_timeout=0.5, stall_timeout=stall), entry, another)
        assert time.monotonic() - began < 8


def test_a_name_that_no_bucket_can_have_is_told(s3: S3Server, store: Store) -> None:
    with pytest.raises(RemoteError, match="its address is none that the store knows"):
        remote_at("s3://No Such Bucket/models").record(publish(store, "vits").key)


def test_what_failed_half_way_is_not_left_in_the_bill(bucket: BucketShelf, store: Store) -> None:
    entry = publish(store, "vitl", data=weights_of("vitl", LARGE))

    def spoil(done: int, total: int) -> None:
        entry.weights.write_bytes(b"")

    with pytest.raises(BrokenEntryError):
        remote_at(bucket.url).push(entry, progress=spoil)
    assert bucket.names() == []
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.bucket)


def _completes(environ: Environ, name: str) -> bool:
    conditional = environ.get("HTTP_IF_NONE_MATCH") == "*"
    return conditional and environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].endswith(name)


def test_who_loses_the_race_for_the_weights_goes_on_with_those_that_are_there(
    bucket: BucketShelf, s3: S3Server, store: Store, another: Store
) -> None:
    entry = publish(store, "vits")
    lost = []

    def faster(environ: Environ) -> None:
        if _completes(environ, weights_name(entry)):
            s3.before = lambda environ: None
            bucket.put(weights_name(entry), entry.weights.read_bytes())
            lost.append(environ["PATH_INFO"])

    s3.before = faster
    assert remote_at(bucket.url).push(entry) == "pushed"
    assert len(lost) == 1
    assert fetched(remote_at(bucket.url), entry, another)
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.bucket)


@pytest.mark.parametrize(("theirs", "outcome"), [("whole", "was there"), ("half", "pushed")])
def test_who_loses_the_race_for_the_record_says_that_it_was_there_if_it_is_sound(
    theirs: str, outcome: str, bucket: BucketShelf, s3: S3Server, store: Store, another: Store
) -> None:
    mine, yours = publish(store, "vits"), publish(another, "vits", data=weights_of("another run"))

    def faster(environ: Environ) -> None:
        if _completes(environ, record_name(mine)):
            s3.before = lambda environ: None
            for name, data in objects_of(yours).items():
                bucket.put(name, data if theirs == "whole" else data[:-1])

    s3.before = faster
    assert remote_at(bucket.url).push(mine) == outcome
    expected = yours if theirs == "whole" else mine
    assert remote_at(bucket.url).record(mine.key) == expected.record


def test_a_store_that_knows_no_conditions_is_written_to_without(
    bucket: BucketShelf, s3: S3Server, store: Store, another: Store
) -> None:
    entry = publish(store, "vits")
    refused = []

    def refuse(environ: Environ) -> tuple[str, bytes] | None:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return None
        refused.append(environ["PATH_INFO"])
        return "501 Not Implemented", NOT_IMPLEMENTED

    s3.before = refuse
    assert remote_at(bucket.url).push(entry) == "pushed"
    assert len({*refused}) == 1  # it is not asked again
    assert fetched(remote_at(bucket.url), entry, another)
    assert remote_at(bucket.url).push(entry) == "was there"
