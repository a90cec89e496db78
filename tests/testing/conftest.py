"""A plain HTTP client, which follows no redirects and hides nothing."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urlsplit

import pytest


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    body: bytes


Ask = Callable[..., Reply]


@pytest.fixture
def ask() -> Ask:
    def send(url: str, *, method: str = "GET", timeout: float = 5.0, **headers: str) -> Reply:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, headers=headers)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    return send
