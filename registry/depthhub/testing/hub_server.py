"""A site on a loopback port: it hears requests, sends answers as their faults will have it, and ends cleanly."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from depthhub.testing.answers import Answer, Host, Request
from depthhub.testing.reception import Reception

_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_FLUSH = 0.05
"""Seconds for sent bytes to arrive: a reset discards what is still on its way."""


class Site(ThreadingHTTPServer):
    """One origin on loopback, in its own threads from `start` to `close`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: Host, reception: Reception, answer: Callable[[Request], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = host
        self.reception = reception
        self.answer = answer
        self.closing = threading.Event()
        self._connections: dict[threading.Thread, socket.socket] = {}
        # The argument is how often it looks for `shutdown`, in seconds.
        self._listener = threading.Thread(target=self.serve_forever, args=(0.01,), name=f"LocalHub {host}", daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> None:
        self._listener.start()

    def close(self) -> None:
        """End every connection and every thread."""
        self.closing.set()
        self.shutdown()
        self._listener.join()
        self.server_close()
        for connection in self._connections.values():
            with contextlib.suppress(OSError):  # it may be over already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._connections:
            thread.join()
        self._connections.clear()

    # What follows is called by the base classes.

    def server_bind(self) -> None:
        # HTTPServer's own looks up the host's name, which takes seconds where no resolver answers.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        # Clients keep connections open for the next request: `close` must find them.
        self._connections = {t: c for t, c in self._connections.items() if t.is_alive()}
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name=f"LocalHub {self.host} connection",
            daemon=True,
        )
        self._connections[thread] = request
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | _ConnectionOver):
            super().handle_error(request, client_address)


class _ConnectionOver(Exception):  # noqa: N818 - it ends a connection on purpose
    """Unwinds the thread of a connection that a fault, or the closing of the site, has ended."""


class _Handler(BaseHTTPRequestHandler):
    """One connection; also the `Line` that faults are given."""

    server: Site
    protocol_version = "HTTP/1.1"
    server_version = "LocalHub"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        authorization = self.headers["Authorization"]
        request = Request(
            method=self.command,
            target=self.path,
            host=self.server.host,
            range=self.headers["Range"],
            token=authorization.removeprefix("Bearer ") if authorization else None,
            anew=self.headers["Cache-Control"] == "no-cache",
        )
        answer, fault = self.server.reception.receive(request, self.server.answer(request))
        fault.before(self)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        if self.command != "HEAD":
            fault.send(answer, self)

    def send(self, data: bytes) -> None:
        self.wfile.write(data)

    def wait(self, seconds: float) -> None:
        if self.server.closing.wait(seconds):
            raise _ConnectionOver

    def hang_up(self) -> None:
        raise _ConnectionOver

    def reset(self) -> None:
        self.wait(_FLUSH)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        # Closed here, or the base class would end it in good order (FIN) before the reset.
        self.connection.close()
        raise _ConnectionOver

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `LocalHub.requests` tells more."""
