"""A LocalHub in a process of its own, so that the one that forks has no threads."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from depthhub.testing import LocalHub

from .children import die_with_parent


class HubProcess:
    """A running LocalHub: what is called here is called there, and what that gives or raises comes back."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            try:
                ours.close()
                die_with_parent(parent)
                _serve(Connection(theirs.detach()))
            finally:
                os._exit(0)
        theirs.close()
        self._connection = Connection(ours.detach())
        self.endpoint: str = self.get("endpoint")

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the LocalHub."""
        self._connection.send((method, args, options))
        return self._answer()

    def get(self, attribute: str) -> Any:
        """Read an attribute of the LocalHub."""
        self._connection.send((attribute, None, None))
        return self._answer()

    def downloads(self) -> list[str]:
        """The paths of the content that was sent, one for each GET of the CDN."""
        return [asked.path for asked in self.get("requests") if asked.host == "cdn" and asked.method == "GET"]

    def close(self) -> None:
        self._connection.close()
        os.waitpid(self._pid, 0)

    def _answer(self) -> Any:
        if not self._connection.poll(30):
            raise TimeoutError("the LocalHub does not answer")
        good, value = self._connection.recv()
        if not good:
            raise value
        return value


@contextmanager
def hub_process() -> Iterator[HubProcess]:
    """A LocalHub, to which HF_ENDPOINT of this process and of those forked from it points."""
    hub = HubProcess()
    before = os.environ["HF_ENDPOINT"]
    os.environ["HF_ENDPOINT"] = hub.endpoint
    try:
        yield hub
    finally:
        os.environ["HF_ENDPOINT"] = before
        hub.close()


def _serve(connection: Connection) -> None:
    with LocalHub() as hub:
        while True:
            try:
                name, args, options = connection.recv()
            except EOFError:  # the other end is closed
                return
            try:
                found = getattr(hub, name)
                connection.send((True, found if args is None else found(*args, **options)))
            except Exception as error:  # noqa: BLE001  the caller's
                connection.send((False, error))
