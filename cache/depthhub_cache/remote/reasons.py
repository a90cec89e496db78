"""From whatever a library raises to a few words. Its own text is never shown: addresses and headers may be in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

_CODE = re.compile(r"[A-Za-z]{3,40}")
_DEPTH = 6

_STATUSES = {
    401: "access is denied",
    403: "access is denied (some stores say so of what is not there, to those who may not list it)",
    404: "it is not there",
    407: "the proxy wants a password",
    429: "it is asked too often",
    503: "it is asked too often, or not ready",
}

_KINDS = {
    "NoCredentialsError": "no credentials were found (a public S3 bucket is read with FSSPEC_S3_ANON=true)",
    "PartialCredentialsError": "the credentials are not complete",
    "CredentialRetrievalError": "the credentials could not be fetched",
    "TokenRetrievalError": "the login is over; log in again",
    "UnauthorizedSSOTokenError": "the login is over; log in again",
    "SSOTokenLoadError": "the login is over; log in again",
    "ProfileNotFound": "there is no such profile of credentials",
    "DefaultCredentialsError": "no credentials were found",
    "RefreshError": "the login is over; log in again",
    "ClientAuthenticationError": "access is denied",
    "ParamValidationError": "its address is none that the store knows",
    "InvalidURL": "its address is none that the store knows",
    "NonHttpUrlRedirectClientError": "it redirects to something else than HTTP",
    "TooManyRedirects": "it redirects without an end",
    "ClientConnectorDNSError": "its name is not known",
    "gaierror": "its name is not known",
    "ClientSSLError": "its certificate is not trusted",
    "SSLError": "its certificate is not trusted",
    "ClientConnectorError": "it cannot be reached",
    "EndpointConnectionError": "it cannot be reached",
    "ServiceRequestError": "it cannot be reached",
    "ConnectTimeoutError": "it did not answer in time",
    "ReadTimeoutError": "it did not answer in time",
    "ServerTimeoutError": "it did not answer in time",
    "ClientPayloadError": "the connection broke off",
    "IncompleteRead": "the connection broke off",
    "IncompleteReadError": "the connection broke off",
    "ClientConnectionError": "the connection broke off",
    "ConnectionClosedError": "the connection broke off",
    "ServiceResponseError": "the connection broke off",
    "HTTPClientError": "the connection broke off",
    "ConnectionRefusedError": "it cannot be reached",
    "ConnectionError": "the connection broke off",
    "TimeoutError": "it did not answer in time",  # there are several
}
"""By the name of the class, of one of requests, aiohttp, botocore, azure or google: none of them is imported here."""


def reason_of(error: BaseException) -> str:
    """What went wrong, in words."""
    for one in _chain(error):
        if (status := _status(one)) is not None:
            return _of_status(status, code_of(error))
        for kind in type(one).__mro__:
            if kind.__name__ in _KINDS:
                return _KINDS[kind.__name__]
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno:
            return os.strerror(one.errno).lower()
    return f"it failed in a way that nobody expected ({type(error).__name__})"


def code_of(error: BaseException) -> str | None:
    """The store's own word for it (NoSuchBucket), where it gave one."""
    for one in _chain(error):
        response = getattr(one, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else getattr(one, "error_code", None)
        if isinstance(code, str) and _CODE.fullmatch(code):
            return code
    return None


def status_of(error: BaseException) -> int | None:
    """The status of HTTP that it came with."""
    return next((found for one in _chain(error) if (found := _status(one)) is not None), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_DEPTH):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__


def _status(error: BaseException) -> int | None:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        found = next((getattr(error, name) for name in ("status", "status_code", "code") if hasattr(error, name)), None)
    return found if type(found) is int and 300 <= found < 600 else None


def _of_status(status: int, code: str | None) -> str:
    if status not in _STATUSES:
        try:
            said = f"it says: {HTTPStatus(status).phrase.lower()}"
        except ValueError:
            said = "it says something that nobody knows"
    else:
        said = _STATUSES[status]
    return f"{said} ({f'{code}, ' if code else ''}HTTP {status})"
