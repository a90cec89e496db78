"""What is this file? By its content hash where the catalog knows it; else what its shapes say, and what they cannot."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depthhub_cache.identity import ContentHash

from .catalog import Catalog
from .checkpoint.containers import OpenCheckpoint, held
from .checkpoint.header import header_in
from .checkpoint.hints import guess_from_file_name
from .checkpoint.layouts import Layout
from .checkpoint.shapes import Sizes
from .errors import UnsupportedModelError
from .model.config import Build
from .progress import Report, silent
from .settings import Settings
from .steps.digest import sha256_of
from .steps.promised import misdescription
from .steps.stated import Stated, stated_by

if TYPE_CHECKING:
    from .checkpoint.reading import Checkpoint

log = logging.getLogger("depthhub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """What a checkpoint is.

    name: in the catalog, by content hash; confirmed: more than one independent source states that hash.
    layout, sizes: from names and shapes; None where it is another model than a plain DPT (`unsupported` says which).
    build: how to build it, from the catalog or the file's own config; None where nothing tells: `unknown` names what is
    missing, and `suggestion` is what the file's name suggests, which proves nothing.
    decisions: what was peeled off the file on the way to its tensors, in words.
    """

    path: Path
    size: int
    content_hash: ContentHash
    name: str | None
    confirmed: bool
    licence: str | None
    layout: Layout | None
    sizes: Sizes | None
    encoder: str | None
    tensors: int | None
    build: Build | None
    unknown: tuple[str, ...]
    suggestion: Build | None
    unsupported: str | None
    decisions: tuple[str, ...]


def identify(path: str | os.PathLike[str], *, progress: Report | None = None) -> Identification:
    """What the checkpoint at `path` is. Reads every byte of it, changes nothing, uses no network and no cache.

    Raises NotFoundError, CheckpointError for a file that is no checkpoint, UnsafeCheckpointError for one that holds
    more than tensors, UnknownKeysError for one whose tensors are not those of one model.
    """
    path = Path(path).absolute()
    with held(path.parent) as folder, OpenCheckpoint(path, folder) as opened:
        return _identified(opened, progress or silent)


def _identified(opened: OpenCheckpoint, report: Report) -> Identification:
    from .checkpoint.convert import sizes_of
    from .checkpoint.reading import read_checkpoint

    path = opened.path
    content_hash = sha256_of(opened, str(path), report)
    entry = Catalog.known(Settings.resolve().catalog).by_sha256(content_hash, hints=True)
    checkpoint = sizes = unsupported = None
    try:
        checkpoint = read_checkpoint(opened)
        sizes = sizes_of(checkpoint)
    except UnsupportedModelError as error:
        unsupported = error.reason
    stated = _stated(opened, checkpoint, sizes) if checkpoint is not None and sizes is not None else None
    build = (entry.build if entry else None) or (stated.build if stated else None)
    told = build is not None or unsupported is not None
    return Identification(
        path=path,
        size=opened.size,
        content_hash=content_hash,
        name=entry.name if entry else None,
        confirmed=entry is not None and entry.sha256 == content_hash,
        licence=entry.licence if entry else None,
        layout=checkpoint.layout if checkpoint else None,
        sizes=sizes,
        encoder=sizes.encoder if sizes else None,
        tensors=len(checkpoint.tensors) if checkpoint else None,
        build=build,
        unknown=() if told else ("family", "max_depth"),
        suggestion=None if told else guess_from_file_name(path.name),
        unsupported=unsupported,
        decisions=checkpoint.decisions if checkpoint else (),
    )


def _stated(opened: OpenCheckpoint, checkpoint: Checkpoint, sizes: Sizes) -> Stated | None:
    """What the file says of itself, or the config.json beside it: where that can be its own."""
    stated, header = stated_by(opened), header_in(opened)
    if stated is None:
        return None
    if stated.problem is not None:
        log.warning("%s: its config.json cannot be read: %s", opened.path, stated.problem)
    problem = misdescription(stated, sizes, checkpoint.layout)
    if header is not None and (checkpoint.layout != "depthhub" or not sizes.are_those_of(header.config)):
        problem = "what it says of itself is of another model"
    if problem is None:
        return stated
    log.warning("%s: %s; that is ignored", opened.path, problem)
    return None
