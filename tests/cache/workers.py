"""What other processes do in the tests: `python workers.py COMMAND ROOT ...`. Answers with JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # run as a file, so that no test framework is in the process
    sys.path.insert(0, str(Path(__file__).parents[2]))

from depthhub_cache.errors import BrokenEntryError
from depthhub_cache.store import Store


def publish(store: Store, name: str, go: str) -> object:
    """Make and publish an entry when the file `go` appears; whose entry it is in the end."""
    from tests.cache.samples import publish as publish_sample

    _ready_for(go)
    entry = publish_sample(store, name, maker=os.getpid())
    store.verify(entry, deep=True)
    return entry.record.about["maker"]


def ensure(store: Store, name: str, go: str) -> object:
    """Get the entry, or make it under its lock: the way of the library. 1 where this process made it."""
    from tests.cache.samples import key_of
    from tests.cache.samples import publish as publish_sample

    _ready_for(go)
    if store.get(key_of(name)):
        return 0
    with store.lock(key_of(name)) as held:
        assert held
        if store.get(key_of(name)):
            return 0
        time.sleep(0.1)  # long enough for the others to come
        publish_sample(store, name)
        return 1


def churn(store: Store, name: str, go: str) -> object:
    """Publish and remove the same entry over and over until the file `go` appears; how often."""
    from tests.cache.samples import key_of
    from tests.cache.samples import publish as publish_sample

    rounds = 0
    while not Path(go).exists():
        publish_sample(store, name)
        store.remove(key_of(name))
        rounds += 1
    return rounds


def look(store: Store, name: str, go: str) -> object:
    """Look for the entry until the file `go` appears; how often it was there, missing, and half there."""
    from tests.cache.samples import key_of, weights_of

    there = missing = half = 0
    while not Path(go).exists():
        entry = store.get(key_of(name))
        if entry is None:
            missing += 1
            continue
        try:
            whole = entry.weights.read_bytes() == weights_of(name)
        except FileNotFoundError:  # removed since: that is a miss
            missing += 1
            continue
        there, half = there + whole, half + (not whole)
    return [there, missing, half]


def hold(store: Store, name: str) -> object:
    """Hold the lock of an entry until killed."""
    from tests.cache.samples import key_of

    with store.lock(key_of(name)) as held:
        print("held" if held else "not held", flush=True)
        sys.stdin.read()
    return None


def stage(store: Store, name: str) -> object:
    """Write half of a file, and stay until killed."""
    with store.stage() as staging, staging.file(name) as staged:
        staged.write(b"the first half")
        print(staged.path, flush=True)
        sys.stdin.read()
    return None


def read(store: Store, name: str) -> object:
    """What the system was asked for, and what was imported, while an entry and a ref were read."""
    from tests.cache.samples import key_of

    events: list[list[object]] = []
    watching = True

    def hook(event: str, args: tuple[object, ...]) -> None:
        if watching and not event.startswith(("object.", "code.", "compile", "exec")):
            events.append([event, *map(repr, args)])

    sys.addaudithook(hook)
    entry, ref = store.get(key_of(name)), store.recall(name)
    store.get(key_of("missing")), store.recall("missing")
    watching = False
    assert entry is not None
    assert ref is not None
    return {"events": events, "modules": sorted(sys.modules)}


def _ready_for(go: str) -> None:
    print("ready", flush=True)
    while not Path(go).exists():
        time.sleep(0.001)


COMMANDS = {f.__name__: f for f in (publish, ensure, churn, look, hold, stage, read)}

if __name__ == "__main__":
    _, command, root, *rest = sys.argv
    try:
        print(json.dumps(COMMANDS[command](Store(Path(root)), *rest)))
    except BrokenEntryError as error:
        sys.exit(str(error))
