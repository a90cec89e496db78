"""What differs between protocols: the extra to install, the options of their file systems, and where a sha256 is noted.

What `FSSPEC_<PROTOCOL>` and fsspec's configuration files say is said last: a user's word counts more than ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import RemoteSetupError
from .address import Address

if TYPE_CHECKING:
    from .errands import Limits

_ATTEMPTS = 2  # in all; whoever asks has another way than this


def _nothing(_: object) -> dict[str, Any]:
    return {}


class Traits(NamedTuple):
    """Of a protocol. extra: of depthhub, with what it needs.

    options: of its file system. attempts: that this makes by itself. session: its method that begins one that can be
    closed. reading: options of `open_async`. noting: options of `open` that put facts beside an object.
    """

    extra: str | None = None
    options: Callable[[Limits], dict[str, Any]] = _nothing
    attempts: int | None = None
    session: str | None = None
    reading: Mapping[str, Any] = {}
    noting: Callable[[dict[str, str]], dict[str, Any]] = _nothing


def traits_of(protocol: str) -> Traits:
    """Those of a protocol that is not known here are the plain ones."""
    return _TRAITS.get(protocol, Traits())


def file_system_class(address: Address) -> Any:
    """fsspec's class for an address. Raises RemoteSetupError where there is none, or its package is missing."""
    from fsspec import get_filesystem_class  # type: ignore[import-untyped]

    try:
        return get_filesystem_class(address.protocol)
    except ValueError:
        what = f"fsspec knows no protocol {address.protocol}://. Is it misspelt?"
    except ImportError as error:
        extra = traits_of(address.protocol).extra
        how = f"pip install 'depthhub[{extra}]'" if extra else f"fsspec says: {error}"
        what = f"a package is missing that reaches {address.protocol}://: {how}"
    raise RemoteSetupError(
        f"The remote store {address.where} cannot be used: {what}", url=address.where, key=None, reason=what
    )


def options_of(cls: Any, protocol: str, limits: Limits) -> dict[str, Any]:
    """The options of the file system: ours, with those of the user in them."""
    configured = import_module("fsspec.config").conf
    ours: dict[str, Any] = {"use_listings_cache": False, **traits_of(protocol).options(limits)}
    for name in (cls.protocol,) if isinstance(cls.protocol, str) else cls.protocol:
        ours = _with(ours, configured.get(name, {}))
    return ours


def _with(ours: Mapping[str, Any], users: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for name, value in users.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _with(merged[name], value) if both else value
    return merged


def _s3(limits: Limits) -> dict[str, Any]:
    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    timeouts = {"connect_timeout": limits.connect, "read_timeout": limits.stall}
    return {"config_kwargs": {**timeouts, "retries": retries}}


def _http(limits: Limits) -> dict[str, Any]:
    from aiohttp import ClientTimeout

    return {
        "client_kwargs": {
            "timeout": ClientTimeout(total=None, sock_connect=limits.connect, sock_read=limits.stall),
            "headers": {"Accept-Encoding": "identity"},
            "auto_decompress": False,  # what counts is what was put there
            "raise_for_status": True,  # or the connection is never given back
            "trust_env": True,  # proxies, and ~/.netrc
            "requote_redirect_url": False,  # the address that a redirect sends to may be signed as it is
        }
    }


def _gcs(limits: Limits) -> dict[str, Any]:
    return {"requests_timeout": limits.connect + limits.stall}


def _azure(limits: Limits) -> dict[str, Any]:
    return {"connection_timeout": limits.connect, "read_timeout": limits.stall}


_S3 = Traits("s3", _s3, attempts=1, session="set_session", noting=lambda facts: {"Metadata": facts})
_GCS = Traits("gcs", _gcs, attempts=_ATTEMPTS, session="_set_session", noting=lambda facts: {"metadata": facts})
_AZURE = Traits("azure", _azure, noting=lambda facts: {"metadata": {"is_directory": "false", **facts}})
_HTTP = Traits("http", _http, session="set_session", reading={"size": 0})  # a size that is said is not asked for first

_TRAITS = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("gs", "gcs"), _GCS),
    **dict.fromkeys(("az", "abfs", "abfss"), _AZURE),
    **dict.fromkeys(("http", "https"), _HTTP),
}
