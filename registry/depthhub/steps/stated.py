"""What a checkpoint's own surroundings state about how to build it."""

from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from depthhub_cache.json_object import parse_object

from ..checkpoint.containers import OpenCheckpoint, open_file
from ..checkpoint.header import build_stated_in
from ..model.config import Build

CONFIG = "config.json"
LIMIT = 1 << 20
"""Bytes of a config.json that are read at most."""

_BACKBONE = "backbone_config"
_LONG = 4096
"""Characters of a field that none has that decides how to build a model."""


class Stated(NamedTuple):
    """How to build a model, as the file itself or the config.json beside it says.

    build: None where a config.json is that of a model that cannot be built, or is there and cannot be read: `problem`
    says why. config: that config.json, None where the file's own header says it, or a lockfile: those were written when
    it had been decided, so nobody may contradict them (`teller` says in words which it was); a config.json is outranked
    by the caller.
    """

    build: Build | None
    config: Mapping[str, Any] | None
    teller: str = "the file itself says that it was converted as"
    problem: str | None = None


def stated_by(opened: OpenCheckpoint) -> Stated | None:
    """What a local file says of itself, else the config.json beside it, in the very folder where it was found."""
    if (own := stated_by_itself(opened)) is not None:
        return own
    try:
        text = read_config(opened.path.with_name(CONFIG), opened.folder)
    except ValueError as error:
        return unread(error)
    return None if text is None else stated_in(text)


def stated_by_itself(opened: OpenCheckpoint) -> Stated | None:
    """Our own layout carries its build."""
    build = build_stated_in(opened)
    return None if build is None else Stated(build, None)


def stated_in(config_json: bytes) -> Stated | None:
    """What the bytes of a config.json state; None where they say nothing that decides."""
    try:
        return stated_by_config(parse_object(config_json, limit=LIMIT))
    except ValueError as error:
        return unread(error)


def unread(why: object) -> Stated:
    """A config.json that is there and cannot be read: what it would have said nobody knows."""
    return Stated(None, {}, problem=str(why))


def stated_by_config(config: object) -> Stated | None:
    """What a parsed config.json states."""
    if not isinstance(config, Mapping):
        return None
    from ..checkpoint.hints import build_from_config_json, is_of_another_model
    from ..checkpoint.words import shown

    if is_of_another_model(config):
        return Stated(None, {"model_type": shown(config["model_type"])})  # the rest is of no use to anybody
    build = build_from_config_json(config)
    return None if build is None else Stated(build, _without_what_is_long(config))


def _without_what_is_long(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Labels, token tables and histories decide nothing, and what does is remembered: it has to stay short."""
    fields = {name: config[name] for name in config if len(repr(config[name])) <= _LONG}
    backbone = config.get(_BACKBONE)
    return {**fields, _BACKBONE: _without_what_is_long(backbone)} if isinstance(backbone, Mapping) else fields


def read_config(path: Path, folder: int | None = None) -> bytes | None:
    """The bytes of a config.json; None where nothing has its name. folder: as of `open_file`.

    Raises ValueError, saying why, where something has that name and cannot be read as one.
    """
    try:
        if (file := open_file(path, folder)) is None:
            raise ValueError("it is no regular file")
        with BufferedReader(file) as buffered:
            text = buffered.read(LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.is_symlink():
            raise ValueError("it is a link to nothing") from error
        return None
    except OSError as error:
        raise ValueError(error.strerror) from error
    if len(text) > LIMIT:
        raise ValueError("it is larger than one can be")
    return text
