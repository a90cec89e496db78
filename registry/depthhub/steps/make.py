"""From a verified checkpoint to a published entry: read, infer, convert, write, publish."""

from __future__ import annotations

import logging
import os
import platform
import threading
from importlib.metadata import version
from typing import Any

from depthhub_cache.entry import Entry
from depthhub_cache.errors import CacheError
from depthhub_cache.identity import make_key
from depthhub_cache.staging import Staging
from depthhub_cache.store import Store

from ..checkpoint.containers import OpenCheckpoint
from ..checkpoint.convert import Converted, convert
from ..checkpoint.converted import bytes_of, write_converted
from ..checkpoint.header import header_in
from ..checkpoint.reading import Checkpoint, read_checkpoint
from ..checkpoint.recipe import Recipe
from ..errors import MismatchError
from ..progress import Progress
from .digest import require_unchanged
from .find import as_wanted
from .licence import licence_of
from .located import Located
from .locked import require_locked_weights
from .obtain import Obtained
from .promised import require_promised
from .request import Request
from .room import require_room

log = logging.getLogger("depthhub")

WEIGHTS = "weights.safetensors"


def make(
    obtained: Obtained, located: Located, recipe: Recipe, request: Request, store: Store, staging: Staging
) -> Entry:
    """Convert `obtained` into `staging` and publish it. Another process that was faster is adopted."""
    turn = _turns.one
    if not turn.acquire(blocking=False):
        request.report(Progress(located.source, "waiting", detail="another conversion is under way"))
        turn.acquire()
    try:
        return _made(obtained, located, recipe, request, store, staging)
    finally:
        turn.release()


class _Turns:
    """Conversions of one process wait for each other: one keeps both memory and disk busy.

    A thread does not wait for itself, whose `progress` may load another model. A forked child has none of its parent's
    threads, and waits for none.
    """

    def __init__(self) -> None:
        self.one = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self.one = threading.RLock()


_turns = _Turns()


def _made(
    obtained: Obtained, located: Located, recipe: Recipe, request: Request, store: Store, staging: Staging
) -> Entry:
    request.report(Progress(located.source, "converting", 0, located.size))
    checkpoint = read_checkpoint(obtained.opened, checked=obtained.checked)
    converted = convert(checkpoint, recipe)
    require_promised(converted.config, checkpoint.layout, located, request, obtained.opened.path)
    require_own_words(obtained.opened, checkpoint, converted, located.source)
    for decision in checkpoint.decisions:
        log.info("%s: %s", located.source, decision)
    log.info("inferred from %d tensors: %s", len(checkpoint.tensors), converted.config.summary())
    require_room(bytes_of(converted), request, store)
    key = make_key(obtained.content_hash, recipe.to_json())
    try:
        with staging.file(WEIGHTS) as staged:
            write_converted(
                staged.write,
                converted,
                content_hash=obtained.content_hash,
                progress=lambda done, total: request.report(Progress(located.source, "converting", done, total)),
            )
    except CacheError:  # what was cut short meanwhile cannot be written either: that is no fault of the cache
        require_unchanged(obtained.opened, obtained.settled.fingerprint)
        raise
    obtained.require_unchanged(located.source, request.report)  # what was written is what was verified
    if request.lock is not None:
        require_locked_weights(request.lock, key, staged.sha256(), request, "this conversion")
    licence = licence_of(located, obtained.content_hash, request).name
    about = _about(obtained, located, recipe, licence, checkpoint)
    entry = store.publish(key, staging, weights=WEIGHTS, about=about)
    entry = as_wanted(entry, request, store)
    log.info("converted and published %s bytes as entry %.12s", f"{entry.record.weights_size:,}", key)
    return entry


def require_own_words(opened: OpenCheckpoint, checkpoint: Checkpoint, converted: Converted, source: str) -> None:
    """Raises MismatchError where what a file says of itself was copied from another, or is not what was asked for."""
    header = header_in(opened)
    if header is not None and (checkpoint.layout != "depthhub" or header.config != converted.config):
        raise MismatchError(
            f"{source}: what the file says of itself (that depthhub converted it) is of another model: it has "
            f"the {checkpoint.layout} layout and is {converted.config.summary()}. Ask for what it says; or, if that is "
            "wrong, save its tensors without the metadata of the file that they came from, and say family= yourself.",
            path=checkpoint.path,
            expected=header.config.summary(),
            found=converted.config.summary(),
        )


def _about(
    obtained: Obtained, located: Located, recipe: Recipe, licence: str | None, checkpoint: Checkpoint
) -> dict[str, Any]:
    """Where the weights came from, for the entry's record; `Provenance` reads it back."""
    return {
        **located.place()._replace(commit=obtained.commit).to_json(),
        "licence": licence,
        "content_hash": obtained.content_hash,
        "checkpoint_bytes": obtained.opened.size,
        "recipe": recipe.to_json(),
        "layout": checkpoint.layout,
        "decisions": list(checkpoint.decisions),
        "versions": {
            "depthhub": version("depthhub"),
            "torch": version("torch"),
            "safetensors": version("safetensors"),
            "python": platform.python_version(),
        },
    }
