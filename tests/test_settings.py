"""Settings: the caller's word, then the environment, then the default; read when a call begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub import SettingsError, settings
from depthhub.settings import DEFAULT_ENDPOINT, Settings


def test_the_caller_outranks_the_environment(tmp_path: Path) -> None:
    env = {"DEPTHHUB_CACHE": "/from/env", "HF_HUB_OFFLINE": "1"}
    assert Settings.resolve(env=env).cache_dir == Path("/from/env").absolute()
    assert Settings.resolve(env=env).offline is True
    told = Settings.resolve(cache_dir=tmp_path, offline=False, env=env)
    assert (told.cache_dir, told.offline) == (tmp_path, False)


def test_without_a_word_the_cache_is_the_platforms() -> None:
    import platformdirs

    assert Settings.resolve(env={}).cache_dir == Path(platformdirs.user_cache_dir("depthhub", appauthor=False))
    assert Settings.resolve(env={}).endpoint == DEFAULT_ENDPOINT


def test_the_environment_is_read_at_each_call_not_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://one/")
    assert Settings.resolve().endpoint == "http://one"
    monkeypatch.setenv("HF_ENDPOINT", "http://two")
    assert Settings.resolve().endpoint == "http://two"


NO_ADDRESSES = [
    *("hub.example", "ftp://hub.example", "http://", "http://[::1", "http://h/\udcff", "http://h/{x}"),
    *("http://h:80800", "http://h:x", "http://h:0", "http://a..b", f"http://{'a' * 64}"),
]


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_an_endpoint_that_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="HF_ENDPOINT"):
        Settings.resolve(env={"HF_ENDPOINT": text})


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_limit_that_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="DEPTHHUB_STALL_TIMEOUT"):
        Settings.resolve(env={"DEPTHHUB_STALL_TIMEOUT": text})


def test_limits_come_from_the_environment() -> None:
    found = Settings.resolve(env={"DEPTHHUB_STALL_TIMEOUT": "7", "DEPTHHUB_RETRY_AFTER_LIMIT": "0.5"})
    assert (found.stall_timeout, found.retry_after_limit) == (7.0, 0.5)
    assert found.connect_timeout == Settings(cache_dir=Path()).connect_timeout


def test_a_token_is_never_shown() -> None:
    assert "hf_secret" not in repr(Settings.resolve(token="hf_secret", env={}))


@pytest.mark.parametrize(
    ("path", "extended"),
    [
        ("C:\\cache", "C:\\cache"),
        ("C:\\" + "d" * 120, "\\\\?\\C:\\" + "d" * 120),
        ("\\\\server\\share\\" + "d" * 120, "\\\\?\\UNC\\server\\share\\" + "d" * 120),
        ("\\\\?\\C:\\" + "d" * 120, "\\\\?\\C:\\" + "d" * 120),
    ],
)
def test_a_long_root_on_windows_takes_the_form_that_may_be_long(path: str, extended: str) -> None:
    assert settings.extended(path) == extended
