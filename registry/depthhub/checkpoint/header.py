"""The header of a converted file: its model's config, its recipe, and the content hash of its checkpoint.

One value of the safetensors metadata, as canonical JSON: equal headers are equal bytes. It says nothing of where or
when; that belongs to the record of an entry. Reading it needs no torch, and no more of the file than its beginning.
"""

import json
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from depthhub_cache.identity import ContentHash, is_sha256

from ..errors import CheckpointError
from ..model.config import Build, ModelConfig
from .containers import OpenCheckpoint, unreadable
from .recipe import LAYOUT_VERSION, Recipe

METADATA = "depthhub"
"""Name of the value in the metadata of the file."""

LIMIT = 16 << 20
"""Bytes of a header that are read at most; that of 600 tensors takes 70 thousand."""


class ConvertedHeader(NamedTuple):
    """What a converted file says of itself."""

    config: ModelConfig
    recipe: Recipe
    content_hash: ContentHash

    def to_text(self) -> str:
        facts = {
            "config": self.config.to_json(),
            "content_hash": self.content_hash,
            "recipe": self.recipe.to_json(),
        }
        return canonical_json(facts)

    @classmethod
    def in_metadata(cls, metadata: Mapping[str, str] | None, *, path: Path) -> "ConvertedHeader":
        """Raises CheckpointError where it is missing, damaged, or of another version than this one reads."""
        text = (metadata or {}).get(METADATA)
        if text is None:
            raise CheckpointError(
                f"{path} is no converted file of depthhub: its metadata has no '{METADATA}'. Convert it with "
                "`depthhub convert`.",
                path=path,
            )
        try:
            header = cls._parse(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                f"{path}: what the file says of itself is damaged, or of another version of depthhub "
                f"({type(error).__name__}: {error}). Convert the original checkpoint again.",
                path=path,
            ) from error
        if header.recipe.layout_version != LAYOUT_VERSION:
            raise CheckpointError(
                f"{path} is of layout version {header.recipe.layout_version}; this depthhub reads {LAYOUT_VERSION}. "
                "Convert the original checkpoint again, or use the depthhub that wrote it.",
                path=path,
            )
        return header

    @classmethod
    def _parse(cls, facts: Mapping[str, Any]) -> "ConvertedHeader":
        content_hash = facts["content_hash"]
        if not is_sha256(content_hash):
            raise ValueError("its content hash is no sha256")
        config, recipe = ModelConfig.from_json(facts["config"]), Recipe.from_json(facts["recipe"])
        family, max_depth, taps = recipe.build.family, recipe.build.max_depth, recipe.build.taps_for(config.blocks)
        if (config.family, config.max_depth, config.taps) != (family, max_depth, taps):
            raise ValueError("its config is not that of its recipe")
        return cls(config, recipe, ContentHash(content_hash))


def read_header(path: Path) -> ConvertedHeader:
    """What the converted file `path` says of itself. Raises CheckpointError where it is none."""
    try:
        with path.open("rb", buffering=0) as file:
            return ConvertedHeader.in_metadata(_metadata_in(file, path), path=path)
    except OSError as error:
        raise unreadable(path, error) from error


def build_stated_in(opened: OpenCheckpoint) -> Build | None:
    """How to build the model in it, if it is a converted file of ours; else None: nothing in it tells.

    Whether its tensors are those that it says, `header_in` and their shapes tell.
    """
    header = header_in(opened)
    return header and header.recipe.build


def header_in(opened: OpenCheckpoint) -> ConvertedHeader | None:
    """What it says of itself, if it is a converted file of ours. Raises CheckpointError where that is damaged."""
    if opened.container != "safetensors":
        return None
    metadata = _metadata_in(opened.file, opened.path)
    return ConvertedHeader.in_metadata(metadata, path=opened.path) if METADATA in metadata else None


def canonical_json(value: object) -> str:
    """The one text of `value`: names sorted, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _metadata_in(file: FileIO, path: Path) -> Mapping[str, str]:
    try:
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= LIMIT else b""
    except OSError as error:
        raise unreadable(path, error) from error
    if not 2 <= length <= LIMIT or len(text) < length:
        raise CheckpointError(
            f"{path} is no safetensors file, or cut short: it announces a header of {length} bytes.", path=path
        )
    try:
        header: Any = json.loads(text)
        metadata = header.get("__metadata__", {})
        return {str(name): str(value) for name, value in metadata.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is no safetensors file: its header is damaged ({error}).", path=path) from error
