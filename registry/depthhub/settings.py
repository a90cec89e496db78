"""One object for everything that the environment or a caller may set, read when a call begins, never at import."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from depthhub_cache.store import Store

from .errors import SettingsError

DEFAULT_ENDPOINT = "https://huggingface.co"
_A_YEAR = 31_536_000.0  # longer than anybody waits, and short enough for every system
_LONG = 100
_TRUE = {"1", "true", "yes", "on"}


class Settings(NamedTuple):
    """Resolved settings of one call. Times are seconds.

    cache_dir: root of the cache (`DEPTHHUB_CACHE`, else the platform's cache folder). lower_caches: further roots, read
        and never written to: `DEPTHHUB_CACHE=/home/me/cache:/shared/models` names both kinds, the writable one first.
    max_size, max_age: the standing budget of the cache, in bytes and seconds since the last use (`DEPTHHUB_MAX_SIZE`,
        `DEPTHHUB_MAX_AGE`); kept after every conversion.
    map_weights: map the weights (True), or read them (False); None: as the file system wants (`DEPTHHUB_MAP_WEIGHTS`).
    catalog: a further catalog file, beside the built-in one (`DEPTHHUB_CATALOG`).
    lockfile: nothing is loaded or made but what is written there (`DEPTHHUB_LOCKFILE`; see lockfile.py).
    allow_licences: the licences of weights that may be used, in lower case; None: any (`DEPTHHUB_ALLOW_LICENSES`).
    remote: a shared store of entries, asked before the Hub (`DEPTHHUB_REMOTE=s3://bucket/folder`, or any address that
        fsspec knows). push: fill it with what `prewarm` and `depthhub pull` make (`DEPTHHUB_PUSH`). hub_fallback: where
        the store has not got it, ask the Hub (`DEPTHHUB_HUB_FALLBACK=0`: never ask it, for whatever).
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
    lower_caches: tuple[Path, ...] = ()
    max_size: int | None = None
    max_age: float | None = None
    map_weights: bool | None = None
    catalog: Path | None = None
    lockfile: Path | None = None
    allow_licences: frozenset[str] | None = None
    remote: str | None = None
    push: bool = False
    hub_fallback: bool = True
    endpoint: str = DEFAULT_ENDPOINT
    token: str | bool | None = None
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
        lockfile: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] = os.environ,
    ) -> "Settings":
        """The caller's word first, then the environment, then the default. Raises SettingsError on a bad value.

        cache_dir: one root as a path, or roots as a text, separated as in PATH; an empty first one is the default.
        """
        root, *below = _roots(cache_dir or env.get("DEPTHHUB_CACHE") or "")
        return cls(
            cache_dir=root,
            lower_caches=tuple(below),
            max_size=_parsed(env, "DEPTHHUB_MAX_SIZE", _bytes),
            max_age=_parsed(env, "DEPTHHUB_MAX_AGE", _age),
            map_weights=_parsed(env, "DEPTHHUB_MAP_WEIGHTS", _switch),
            catalog=_file(env, "DEPTHHUB_CATALOG"),
            lockfile=_file(env, "DEPTHHUB_LOCKFILE") if lockfile is None else _path("lockfile", lockfile),
            allow_licences=_parsed(env, "DEPTHHUB_ALLOW_LICENSES", _licences),
            remote=env.get("DEPTHHUB_REMOTE", "").strip() or None,
            push=_flag(env, "DEPTHHUB_PUSH"),
            hub_fallback=_parsed(env, "DEPTHHUB_HUB_FALLBACK", _switch) is not False,
            endpoint=_endpoint(env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT),
            token=token,
            offline=_flag(env, "HF_HUB_OFFLINE") if offline is None else offline,
            keep_source=_flag(env, "DEPTHHUB_KEEP_SOURCE"),
            **{name: _seconds(env, name) for name in _LIMITS if _env_name(name) in env},
        )

    def __repr__(self) -> str:
        secrets = ("token", "remote")  # an address may hold a password
        shown = (f"{name}={value!r}" for name, value in self._asdict().items() if name not in secrets)
        return f"Settings({', '.join(shown)})"

    def open_store(self) -> Store:
        """The cache that these settings name."""
        return Store(self.cache_dir, below=self.lower_caches, lock_timeout=self.lock_timeout)


_LIMITS = ("connect_timeout", "stall_timeout", "total_timeout", "retry_after_limit", "lock_timeout")


def _env_name(name: str) -> str:
    return f"DEPTHHUB_{name.upper()}"


def _roots(places: str | os.PathLike[str]) -> list[Path]:
    """The roots that are named, the writable one first. A path is one root, whatever its name holds."""
    texts: list[str | os.PathLike[str]]
    if isinstance(places, str):
        first, *others = places.split(os.pathsep)
        texts = [first or _platform_cache(), *filter(None, others)]
    else:
        texts = [places]
    return list(dict.fromkeys(_path("DEPTHHUB_CACHE", text) for text in texts))


def _path(variable: str, text: str | os.PathLike[str]) -> Path:
    if not _is_portable(os.fspath(text)):
        raise SettingsError(
            f"{variable}={os.fspath(text)!a}: a path of UTF-8 text is needed, since the reader of safetensors takes no "
            "other.",
            variable=variable,
            value=os.fspath(text),
        )
    try:
        path = Path(text).expanduser().absolute()
        return Path(extended(str(path))) if os.name == "nt" else path
    except RuntimeError as error:  # ~somebody, who has no home here
        raise SettingsError(f"{variable}={str(text)!r}: {error}.", variable=variable, value=str(text)) from error


def extended(path: str) -> str:
    r"""An absolute Windows path in the form that may be longer than 260 characters (`\\?\`), where it comes near to it.

    What lies in a cache adds some 150 characters to its root.
    """
    if len(path) < _LONG or path.startswith("\\\\?\\"):
        return path
    return f"\\\\?\\UNC\\{path[2:]}" if path.startswith("\\\\") else f"\\\\?\\{path}"


def _file(env: Mapping[str, str], variable: str) -> Path | None:
    text = env.get(variable)
    return _path(variable, text) if text else None


def _is_portable(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
        labels = (parts.hostname or "").split(".")
        usable = parts.scheme in ("http", "https") and all(0 < len(label) < 64 for label in labels)
        usable = usable and text.isascii() and not {*"{}"} & {*text} and parts.port != 0
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


_Value = TypeVar("_Value")


def _parsed(env: Mapping[str, str], name: str, parse: Callable[[str], _Value]) -> _Value | None:
    text = env.get(name, "").strip()
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise SettingsError(
            f"{name}: {error}. Correct it, or unset it for the default.", variable=name, value=text
        ) from error


def _bytes(text: str) -> int:
    from .quantities import parse_bytes

    return parse_bytes(text)


def _age(text: str) -> float:
    from .quantities import parse_age

    return parse_age(text)


def _switch(text: str) -> bool | None:
    if text.lower() == "auto":
        return None
    if text.lower() not in _TRUE | {"0", "false", "no", "off"}:
        raise ValueError(f"{text!r} is neither 1, 0 nor auto")
    return text.lower() in _TRUE


def _licences(text: str) -> frozenset[str]:
    """Names in lower case, as in SPDX, between commas."""
    names = frozenset(filter(None, (name.strip().lower() for name in text.split(","))))
    if not names:
        raise ValueError(f"{text!r} names no licence; write them as apache-2.0,mit")
    return names


def _platform_cache() -> str:
    import platformdirs

    try:
        place = platformdirs.user_cache_dir("depthhub", appauthor=False)
    except RuntimeError:  # a user whom the system does not know; older versions leave a ~ in its place
        place = "~"
    if place.startswith("~"):
        raise SettingsError(
            "This user has no home folder, so there is no default place for the cache. Name one with DEPTHHUB_CACHE or "
            "cache_dir.",
            variable="DEPTHHUB_CACHE",
            value="",
        )
    return place
