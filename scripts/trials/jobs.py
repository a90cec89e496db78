"""What a process is at when it is killed. Each job tells where it is, and knows what must hold when it is done."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from depthhub_cache.identity import Key
from depthhub_cache.store import Store

from .children import Tell, in_a_child
from .samples import (
    FAMILY,
    SOURCE,
    Known,
    publish_sample,
    sample_key,
    sample_sha256,
    stages_told,
)
from .soundness import sha256_of

_SAMPLES = 8


class Job(Protocol):
    """Something that a process does in a cache."""

    stages: tuple[str, ...]
    """The marks that it tells, one at the beginning of each stage; kills are spread over these."""

    expected: Mapping[Key, str]
    """The sha256 of the weights of every entry that it may leave."""

    def prepare(self, root: Path) -> None:
        """Bring the cache into the state that the job begins with. It may hold what an earlier job left."""

    def work(self, root: Path, tell: Tell) -> None:
        """Do it."""

    def unfinished(self, root: Path) -> Iterator[str]:
        """What is not as it should be after the work was done to its end, in sentences."""


class ColdCall:
    """A first call: ask the Hub, remember the answer, download, convert, publish, load."""

    stages = (
        "resolving",
        "remembering",
        "downloading",
        "converting",
        "writing",
        "publishing",
        "after publishing",
        "having it open",
    )

    def __init__(self, known: Known, *, keep_source: bool = False) -> None:
        self._known = known
        self._keep_source = keep_source
        self.expected = known.expected
        if keep_source:
            self.stages = ("keeping",)

    def prepare(self, root: Path) -> None:
        store = Store(root)
        store.remove(self._known.key)
        for name, _ in list(store.refs()):
            store.forget(name)

    def work(self, root: Path, tell: Tell) -> None:
        from depthhub import from_pretrained

        if self._keep_source:
            os.environ["DEPTHHUB_KEEP_SOURCE"] = "1"
        tell_of(tell, remember="remembering", publish="publishing", keep="keeping")
        model = from_pretrained(SOURCE, family=FAMILY, cache_dir=root, progress=stages_told(tell))
        tell("having it open")
        time.sleep(0.02)
        del model

    def unfinished(self, root: Path) -> Iterator[str]:
        yield from _missing(Store(root), self.expected)


class Remembering:
    """The same ref, written over and over."""

    stages = ("remembering over",)
    expected: Mapping[Key, str] = MappingProxyType({})

    def prepare(self, root: Path) -> None:
        Store(root).remember("name", _facts(0))

    def work(self, root: Path, tell: Tell) -> None:
        store = Store(root)
        tell("remembering over")
        for number in range(1, 40):
            store.remember("name", _facts(number))

    def unfinished(self, root: Path) -> Iterator[str]:
        found = Store(root).recall("name")
        if found != _facts(39):
            yield f"what was remembered last is {found!r:.60}"


class Collecting:
    """A collection that has no room for anything; one entry is pinned and stays."""

    stages = ("collecting",)
    expected = MappingProxyType({sample_key(number): sample_sha256(number) for number in range(_SAMPLES)})

    def prepare(self, root: Path) -> None:
        store = Store(root)
        for number in range(_SAMPLES):
            publish_sample(store, number)
        store.pin(sample_key(0))

    def work(self, root: Path, tell: Tell) -> None:
        from depthhub_cache.collection import Budget

        tell("collecting")
        Store(root).collect(Budget(max_size=0))

    def unfinished(self, root: Path) -> Iterator[str]:
        store = Store(root)
        yield from _missing(store, {sample_key(0): sample_sha256(0)})
        yield from (f"entry {key} was not collected" for key in list(store.keys()) if key != sample_key(0))
        store.unpin(sample_key(0))


class Importing:
    """The import of a bundle with several entries."""

    stages = ("importing", "publishing what is imported")
    expected = Collecting.expected

    def __init__(self, folder: Path) -> None:
        self._bundle = folder / "bundle.tar"
        store = Store(folder / "to-export")
        for key in [publish_sample(store, number) for number in range(_SAMPLES)]:
            store.remember(f"about {key}", {"key": key})
        exported = in_a_child(lambda _: run_command(["cache", "export", "--all", "-o", str(self._bundle)], store.root))
        if exported.how != "done":
            raise RuntimeError(f"the export {exported}")

    def prepare(self, root: Path) -> None:
        store = Store(root)
        for key in list(store.keys()):
            store.remove(key)

    def work(self, root: Path, tell: Tell) -> None:
        tell("importing")
        tell_of(tell, publish_record="publishing what is imported")
        run_command(["cache", "import", str(self._bundle)], root)

    def unfinished(self, root: Path) -> Iterator[str]:
        yield from _missing(Store(root), self.expected)


def run_command(argv: list[str], root: Path) -> None:
    """A command of `depthhub` in this process, which is a child. Raises RuntimeError where its code is not 0."""
    from depthhub.cli import main

    os.environ["DEPTHHUB_CACHE"] = str(root)
    with redirect_stdout(io.StringIO()):
        code = main([*argv, "--quiet"])
    if code:
        raise RuntimeError(f"depthhub {' '.join(argv[:2])} ended with {code}")


def tell_of(tell: Tell, **marks: str) -> None:
    """Tell when these methods of the Store begin and when they have done it, in this process, for good."""

    def telling(method: Callable[..., Any], mark: str) -> Callable[..., Any]:
        @wraps(method)
        def called(*args: Any, **options: Any) -> Any:
            tell(mark)
            result = method(*args, **options)
            tell(f"after {mark}")
            return result

        return called

    for name, mark in marks.items():
        setattr(Store, name, telling(getattr(Store, name), mark))


def _missing(store: Store, expected: Mapping[Key, str]) -> Iterator[str]:
    for key, sha256 in expected.items():
        entry = store.get(key)
        if entry is None:
            yield f"entry {key} is missing"
        elif sha256_of(entry.weights) != sha256:
            yield f"entry {key} has other bytes"


def _facts(number: int) -> dict[str, object]:
    return {"number": number, "long": f"{number:04}" * 5000}
