"""A static web server on loopback, as plain as they come, and what can go wrong with one."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

BYTES = "application/octet-stream"

Answer = Callable[["Handler", bytes], None]
"""Answers a request for a file with these bytes, in its own way."""


class Web:
    """`files` by path. `answers`: what answers for the paths that end so. `requests`: what came, with its headers."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.closing = threading.Event()
        self.url = ""

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [path for _, path, _ in self.requests]

    @contextmanager
    def serving(self) -> Iterator[Web]:
        handler = type("BoundHandler", (Handler,), {"web": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            server.daemon_threads = True
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            yield self
            self.closing.set()
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    web: ClassVar[Web]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.web.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        path = self.path.partition("?")[0]
        answer = next((found for end, found in self.web.answers.items() if path.endswith(end)), None)
        if answer is not None:
            answer(self, self.web.files.get(path, b""))
        elif path in self.web.files:
            self.reply(200, self.web.files[path])
        else:
            self.reply(404, b"<html>not found</html>", content_type="text/html")

    def reply(
        self,
        status: int,
        body: bytes,
        *,
        size: int | None = None,
        content_type: str = BYTES,
        **more: str,
    ) -> None:
        """A whole answer. size: what it says to have, if that is not what it has."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def status(code: int, body: bytes = b"<html>no</html>", **more: str) -> Answer:
    return lambda handler, _: handler.reply(code, body, content_type="text/html", **more)


def instead(body: bytes, content_type: str = BYTES) -> Answer:
    """These bytes, as if nothing were wrong."""
    return lambda handler, _: handler.reply(200, body, content_type=content_type)


def stalled(after: int) -> Answer:
    """So many bytes, and then nothing, with the connection open."""

    def answer(handler: Handler, body: bytes) -> None:
        handler.reply(200, body[:after], size=len(body))
        handler.wfile.flush()
        handler.web.closing.wait(60)
        handler.close_connection = True

    return answer


def silent(handler: Handler, _: bytes) -> None:
    """No answer at all."""
    handler.web.closing.wait(60)
    handler.close_connection = True


def dropped(after: int) -> Answer:
    """So many bytes of those that were promised, and the connection is closed."""

    def answer(handler: Handler, body: bytes) -> None:
        handler.reply(200, body[:after], size=len(body))
        handler.close_connection = True

    return answer


def trickle(handler: Handler, body: bytes) -> None:
    """A byte at a time, without an end."""
    handler.reply(200, b"", size=len(body))
    for byte in body:
        if handler.web.closing.wait(0.05):
            break
        handler.wfile.write(bytes([byte]))
    handler.close_connection = True


def endless(handler: Handler, body: bytes) -> None:
    """More and more bytes, of a size that nobody told."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    try:
        while not handler.web.closing.is_set():
            handler.wfile.write(body or bytes(1 << 16))
    except OSError:
        pass


def redirected(to: str) -> Answer:
    """To the same name under another address."""
    return lambda handler, _: handler.reply(302, b"", Location=to + handler.path.rpartition("/")[2])


def compressed(handler: Handler, body: bytes) -> None:
    """By a server that does not ask whether anybody wants that."""
    handler.reply(200, gzip.compress(body), Content_Encoding="gzip")


def with_ranges(handler: Handler, body: bytes) -> None:
    """By a server that knows ranges, and says so."""
    handler.reply(200, body, Accept_Ranges="bytes")
