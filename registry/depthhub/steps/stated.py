"""What a checkpoint's own surroundings state about how to build it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from ..checkpoint.header import build_stated_in
from ..checkpoint.hints import build_from_config_json
from ..model.config import Build

log = logging.getLogger("depthhub")


def build_stated_by(path: Path) -> Build | None:
    """What a local file says of itself (our own layout carries its build), else the config.json beside it."""
    return build_stated_in(path) or build_beside(path)


def build_beside(path: Path) -> Build | None:
    """The answer of a config.json in the folder of `path`, if there is one that says."""
    beside = path.with_name("config.json")
    return build_in(beside.read_bytes()) if beside.is_file() else None


def build_in(config_json: bytes) -> Build | None:
    """The answer of a config.json's bytes. What is not JSON is ignored, and that is said."""
    try:
        data = json.loads(config_json)
    except ValueError:
        log.warning("a config.json beside the weights is not JSON; it is ignored")
        return None
    return build_from_config_json(data)
