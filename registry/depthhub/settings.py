"""One object for everything that the environment or a caller may set, read when a call begins, never at import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .errors import SettingsError

DEFAULT_ENDPOINT = "https://huggingface.co"
_A_YEAR = 31_536_000.0  # longer than anybody waits, and short enough for every system
_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Resolved settings of one call. Times are seconds.

    cache_dir: root of the cache (`DEPTHHUB_CACHE`, else the platform's cache folder).
    catalog: a further catalog file, beside the built-in one (`DEPTHHUB_CATALOG`).
    endpoint: address of the Hub (`HF_ENDPOINT`).
    token: given by the caller; None leaves it to the Hub's client (`HF_TOKEN`, its stored login).
    offline: use no network (`HF_HUB_OFFLINE`).
    keep_source: keep the original checkpoint after conversion (`DEPTHHUB_KEEP_SOURCE`).
    connect_timeout: to open a connection (`DEPTHHUB_CONNECT_TIMEOUT`).
    stall_timeout: without a single byte, before the answer or in it (`DEPTHHUB_STALL_TIMEOUT`).
    total_timeout: for one file, all retries included (`DEPTHHUB_TOTAL_TIMEOUT`).
    retry_after_limit: longest wait that a server's Retry-After is granted (`DEPTHHUB_RETRY_AFTER_LIMIT`).
    lock_timeout: longest wait for another process that makes the same entry (`DEPTHHUB_LOCK_TIMEOUT`).
    """

    cache_dir: Path
    catalog: Path | None = None
    endpoint: str = DEFAULT_ENDPOINT
    token: str | bool | None = field(default=None, repr=False)
    offline: bool = False
    keep_source: bool = False
    connect_timeout: float = 10.0
    stall_timeout: float = 30.0
    total_timeout: float = 3600.0
    retry_after_limit: float = 60.0
    lock_timeout: float = 300.0

    @classmethod
    def resolve(
        cls,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        offline: bool | None = None,
        env: Mapping[str, str] = os.environ,
    ) -> Settings:
        """The caller's word first, then the environment, then the default. Raises SettingsError on a bad number."""
        root = cache_dir or env.get("DEPTHHUB_CACHE") or _platform_cache()
        return cls(
            cache_dir=_path("DEPTHHUB_CACHE", root),
            catalog=_path("DEPTHHUB_CATALOG", catalog) if (catalog := env.get("DEPTHHUB_CATALOG")) else None,
            endpoint=_endpoint(env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT),
            token=token,
            offline=_flag(env, "HF_HUB_OFFLINE") if offline is None else offline,
            keep_source=_flag(env, "DEPTHHUB_KEEP_SOURCE"),
            **{name: _seconds(env, name) for name in _LIMITS if _env_name(name) in env},
        )


_LIMITS = ("connect_timeout", "stall_timeout", "total_timeout", "retry_after_limit", "lock_timeout")


def _env_name(name: str) -> str:
    return f"DEPTHHUB_{name.upper()}"


def _path(variable: str, text: str | os.PathLike[str]) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # ~somebody, who has no home here
        raise SettingsError(f"{variable}={str(text)!r}: {error}.", variable=variable, value=str(text)) from error


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            "HF_ENDPOINT is no address of a Hub; write it as https://host, or unset it.",
            variable="HF_ENDPOINT",
            value=text,
        )
    return text.strip().rstrip("/")


def _flag(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").strip().lower() in _TRUE


def _seconds(env: Mapping[str, str], name: str) -> float:
    text = env[_env_name(name)]
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _A_YEAR:
        raise SettingsError(
            f"{_env_name(name)}={text!r} is not a positive number of seconds. Correct it, or unset it for the default.",
            variable=_env_name(name),
            value=text,
        )
    return seconds


def _platform_cache() -> str:
    import platformdirs

    return platformdirs.user_cache_dir("depthhub", appauthor=False)
