"""Where a remote is, as a user writes it: a URL of any protocol that fsspec knows, or the path of a mounted folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import url2pathname

from ..errors import RemoteSetupError

_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CHAIN = re.compile(r"::")
_IN_BRACKETS = re.compile(r"\[[^/\[\]]*\]")  # an address of IPv6
_FILES = frozenset({"file", "local"})
_WEB = frozenset({"http", "https"})
_NAMED_BEFORE_AT = frozenset({"abfs", "abfss"})  # container@account
_WITHOUT_USERS = frozenset({"s3", "s3a", "gs", "gcs", "az"})


class Address(NamedTuple):
    """A remote's address. folder: the mounted one; None for all else.

    where: the address in a form that may be shown: no user, no password, no query.
    """

    protocol: str
    where: str
    folder: Path | None
    parts: SplitResult

    def __repr__(self) -> str:  # the rest may hold secrets
        return f"Address({self.where!r})"

    @property
    def is_web(self) -> bool:
        """Whether it is plain HTTP(S), which can only be read."""
        return self.protocol in _WEB

    def url_of(self, name: str) -> str:
        """The URL of the object `name`, with whatever secrets the address holds: for nobody's eyes."""
        return urlunsplit(self.parts._replace(path=f"{self.parts.path.rstrip('/')}/{name}", fragment=""))


def parse_address(text: str) -> Address:
    """Raises RemoteSetupError, which says what is wrong and no secret, for what cannot be the address of a remote."""
    text = text.strip()
    if not text or not text.isprintable():
        raise _wrong("It is empty, or holds what cannot be printed.", "")
    if _CHAIN.search(_IN_BRACKETS.sub("", text)):
        raise _wrong("It is a chain of file systems (::); a remote is one, that is read as it is.", "")
    found = _PROTOCOL.match(text)
    if found is None:
        return _mounted(text)
    protocol = found[1].lower()
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  raises where it is none
        place = parts.netloc.rpartition("@")[2]
    except ValueError:
        raise _wrong(f"No {protocol} URL looks like it.", "") from None
    if protocol in _FILES:
        if place not in ("", "localhost"):
            raise _wrong("In the URL of a folder three slashes are needed: file:///mnt/models.", "")
        return _mounted(url2pathname(parts.path))
    user = parts.netloc[: -len(place)] if parts.netloc != place else ""
    if protocol in _NAMED_BEFORE_AT and ":" not in user:
        place, user = user + place, ""
    where = f"{protocol}://{place}{parts.path.rstrip('/')}"
    if not place:
        raise _wrong(f"It names no {'host' if protocol in _WEB else 'bucket or host'}.", where)
    if user and protocol in _WITHOUT_USERS:
        raise _wrong("Keys do not belong into it; its own tools' environment variables and files hold them.", where)
    if protocol not in _WEB and (parts.query or "#" in text):
        raise _wrong("It has a query (?) or a fragment (#), which only HTTP(S) has.", where)
    return Address(protocol, where, None, parts._replace(scheme=protocol))


def _mounted(text: str) -> Address:
    try:
        folder = Path(text).expanduser().absolute()
    except RuntimeError as error:  # ~somebody, who has no home here
        raise _wrong(f"{error}.", text) from error
    return Address("file", str(folder), folder, SplitResult("", "", "", "", ""))


def _wrong(what: str, where: str) -> RemoteSetupError:
    shown = f" {where}" if where else ""
    return RemoteSetupError(
        f"The address of the remote store{shown} cannot be used: {what} Write s3://bucket/folder, gs://..., az://..., "
        "https://host/folder, or the path of a folder.",
        url=where,
        key=None,
        reason=what,
    )
