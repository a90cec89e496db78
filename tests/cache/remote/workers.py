"""What other processes do in the tests: `python workers.py COMMAND URL ROOT KEY ...`. Answers with JSON on stdout."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # run as a file, so that no test framework is in the process
    sys.path.insert(0, str(Path(__file__).parents[3]))

from depthhub_cache.errors import RemoteError
from depthhub_cache.remote import RemoteStore
from depthhub_cache.store import Store
from tests.cache.remote.places import remote_at


def push(remote: RemoteStore, store: Store, key: str, go: str) -> object:
    """Push an entry when the file `go` appears."""
    print("ready", flush=True)
    _until(go)
    entry = store.get(key)  # type: ignore[arg-type]
    assert entry is not None
    return remote.push(entry)


def push_a_part(remote: RemoteStore, store: Store, key: str, parts: str) -> object:
    """Push an entry, and stay until killed when so many parts of it are there, and a few more."""
    entry = store.get(key)  # type: ignore[arg-type]
    assert entry is not None

    left = int(parts)

    def stay(done: int, total: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            print("a part", flush=True)
            sys.stdin.read()

    return remote.push(entry, progress=stay)


def fetch(remote: RemoteStore, store: Store, key: str, go: str) -> object:
    """Fetch an entry over and over until the file `go` appears; how often it was there, missing, and in error."""
    print("ready", flush=True)
    there = missing = 0
    while not Path(go).exists():
        entry = remote.fetch(key, store, check=lambda record: None)  # type: ignore[arg-type]
        if entry is None:
            missing += 1
        else:
            store.verify(entry, deep=True)
            store.remove(entry.key)
            there += 1
    return [there, missing]


def hang(remote: RemoteStore, store: Store, key: str) -> object:
    """Ask a remote that hangs; what was said of it."""
    try:
        remote.record(key)  # type: ignore[arg-type]
    except RemoteError as error:
        return error.reason
    return None


def hang_at_its_name(remote: RemoteStore, store: Store, key: str) -> object:
    """Ask a remote whose name takes forever to be resolved; what was said of it."""
    import socket

    socket.getaddrinfo = lambda *args, **kwargs: time.sleep(60)  # type: ignore[assignment]
    return hang(remote, store, key)


def _until(go: str) -> None:
    while not Path(go).exists():
        time.sleep(0.001)


COMMANDS = {f.__name__: f for f in (push, push_a_part, fetch, hang, hang_at_its_name)}

if __name__ == "__main__":
    _, command, url, root, *rest = sys.argv
    limits = {"connect_timeout": 0.5, "stall_timeout": 0.5} if command.startswith("hang") else {}
    print(json.dumps(COMMANDS[command](remote_at(url, **limits), Store(Path(root)), *rest)))
