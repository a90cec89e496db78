"""What a checkpoint's own surroundings state about how to build it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from depthhub_cache.json_object import parse_object

from ..checkpoint.containers import OpenCheckpoint
from ..checkpoint.header import build_stated_in
from ..model.config import Build

log = logging.getLogger("depthhub")

CONFIG = "config.json"
LIMIT = 1 << 20
"""Bytes of a config.json that are read at most."""


class Stated(NamedTuple):
    """How to build a model, as the file itself or the config.json beside it says.

    config: that config.json, None where the file's own header says it, or a lockfile: those were written when it had
    been decided, so nobody may contradict them (`teller` says in words which it was); a config.json is outranked by the
    caller.
    """

    build: Build
    config: Mapping[str, Any] | None
    teller: str = "the file itself says that it was converted as"


def stated_by(opened: OpenCheckpoint, folder: Path) -> Stated | None:
    """What a local file says of itself, else the config.json in `folder`, where it was found."""
    if (own := stated_by_itself(opened)) is not None:
        return own
    text = read_config(folder / CONFIG)
    return None if text is None else stated_in(text, str(folder / CONFIG))


def stated_by_itself(opened: OpenCheckpoint) -> Stated | None:
    """Our own layout carries its build."""
    build = build_stated_in(opened)
    return None if build is None else Stated(build, None)


def stated_in(config_json: bytes, where: str) -> Stated | None:
    """What the bytes of a config.json state; None where they are not JSON, or say nothing that decides."""
    try:
        return stated_by_config(parse_object(config_json, limit=LIMIT))
    except ValueError as error:
        log.warning("%s is ignored: %s", where, error)
        return None


def stated_by_config(config: object) -> Stated | None:
    """What a parsed config.json states."""
    if config is None:
        return None
    from ..checkpoint.hints import build_from_config_json

    build = build_from_config_json(config)
    return Stated(build, config) if build is not None and isinstance(config, Mapping) else None


def read_config(path: Path) -> bytes | None:
    """The bytes of a config.json; None where there is none, or none that can be one."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            text = file.read(LIMIT + 1)
    except OSError as error:
        log.warning("%s cannot be read (%s); it is ignored", path, error.strerror)
        return None
    if len(text) > LIMIT:
        log.warning("%s is larger than a config.json can be; it is ignored", path)
        return None
    return text
