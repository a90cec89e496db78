"""What a user may write as the address of a remote, and what is shown of it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from depthhub_cache.errors import RemoteError, RemoteSetupError
from depthhub_cache.remote import RemoteStore
from depthhub_cache.remote.address import parse_address
from depthhub_cache.store import Store

from ..samples import key_of, publish
from .places import LIMITS, fetched, remote_at

SECRETS = ("geheim", "hunter2", "sig=")


@pytest.mark.parametrize(
    ("text", "where", "url"),
    [
        ("s3://models", "s3://models", "s3://models/NAME"),
        ("s3://models/a/b/", "s3://models/a/b", "s3://models/a/b/NAME"),
        ("S3://models/a", "s3://models/a", "s3://models/a/NAME"),
        ("  gs://models/a ", "gs://models/a", "gs://models/a/NAME"),
        ("az://box/a", "az://box/a", "az://box/a/NAME"),
        ("abfs://box@firm.dfs.net/a", "abfs://box@firm.dfs.net/a", "abfs://box@firm.dfs.net/a/NAME"),
        ("https://host:8443/a", "https://host:8443/a", "https://host:8443/a/NAME"),
        ("https://host/a?sig=geheim", "https://host/a", "https://host/a/NAME?sig=geheim"),
        ("https://geheim@host/a", "https://host/a", "https://geheim@host/a/NAME"),
        ("https://me:hunter2@host/a#x", "https://host/a", "https://me:hunter2@host/a/NAME"),
        ("http://[::1]:80/a", "http://[::1]:80/a", "http://[::1]:80/a/NAME"),
        ("sftp://me:hunter2@host/a", "sftp://host/a", "sftp://me:hunter2@host/a/NAME"),
    ],
)
def test_an_address_names_a_place_and_shows_no_secret(text: str, where: str, url: str) -> None:
    address = parse_address(text)
    assert address.where == where
    assert address.folder is None
    assert address.url_of("NAME") == url
    assert not any(secret in f"{RemoteStore(text, **LIMITS)!r} {address!r}" for secret in SECRETS)


def test_a_path_or_a_file_url_is_a_mounted_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "with space"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in (str(folder), folder.as_uri(), f"file://localhost{folder.as_uri()[7:]}", "with space", "~/with space"):
        remote = RemoteStore(text, **LIMITS)
        assert (remote.where, remote.is_on_a_network) == (str(folder), False), text
    assert RemoteStore("s3://models", **LIMITS).is_on_a_network


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "  ",
            "s3://",
            "https:///a",
            "https://me:hunter2@/a",
            "https://host:geheim/a",
            "https://[::1/a?sig=geheim",
        ),
        *("simplecache::s3://models", "zip::https://me:hunter2@host/a.zip", "s3://models::zip", "zip::/mnt/a.zip"),
        *("s3://AKIA:hunter2@models/a", "s3://geheim@models", "gs://geheim@models", "s3://models?sig=geheim"),
        *("file://models/a", "~nobody-of-that-name/a", "s3://mod\nels", "s3://models#geheim"),
    ],
)
def test_what_cannot_be_an_address_is_refused_at_once_and_no_secret_is_told(text: str) -> None:
    with pytest.raises(RemoteSetupError, match="The address of the remote store") as raised:
        RemoteStore(text, **LIMITS)
    assert not any(secret in f"{raised.value!s} {vars(raised.value)}" for secret in SECRETS)
    assert isinstance(raised.value, RemoteError)
    assert isinstance(raised.value, ConnectionError)


def test_a_protocol_that_nobody_knows_is_the_users_mistake(store: Store) -> None:
    with pytest.raises(RemoteSetupError, match="knows no protocol s4://"):
        remote_at("s4://models").record(key_of("vits"))


@pytest.mark.parametrize(("url", "extra"), [("gs://models", "gcs"), ("az://box/a", "azure")])
def test_for_a_protocol_whose_package_is_missing_it_is_said_how_to_get_it(
    url: str, extra: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("gcsfs", "adlfs"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    entry = publish(store, "vits")
    for ask in (lambda: remote_at(url).record(entry.key), lambda: remote_at(url).push(entry)):
        with pytest.raises(RemoteSetupError, match=rf"pip install 'depthhub\[{extra}\]'") as raised:
            ask()
        assert raised.value.url == url


def test_over_http_nothing_is_pushed(store: Store) -> None:
    with pytest.raises(RemoteSetupError, match="can only be read"):
        remote_at("http://127.0.0.1:9").push(publish(store, "vits"))


def test_a_remote_travels_to_other_processes(store: Store, tmp_path: Path) -> None:
    remote = pickle.loads(pickle.dumps(remote_at(str(tmp_path))))
    assert remote.where == str(tmp_path)
    assert fetched(remote, publish(store, "vits"), store) is None
