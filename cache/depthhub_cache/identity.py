"""What names things in the store: content hashes of files and the keys of entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NewType

ContentHash = NewType("ContentHash", str)
"""sha256 of a file's bytes, 64 lower-case hex digits."""

Key = NewType("Key", str)
"""sha256 over a content hash and a recipe, 64 lower-case hex digits: names an entry."""

_HEX = frozenset("0123456789abcdef")


def make_key(content_hash: ContentHash, recipe: Mapping[str, object]) -> Key:
    """The key of what `recipe` makes of the file `content_hash`.

    The order of the recipe's items does not matter; 20 and 20.0 are different recipes.
    Raises ValueError or TypeError where the hash is no sha256 or the recipe is not plain JSON.
    """
    if not is_sha256(content_hash):
        raise ValueError(f"{content_hash!r} is not a sha256: 64 lower-case hex digits")
    facts = {"content_hash": content_hash, "recipe": dict(recipe)}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Key(hashlib.sha256(text.encode("ascii")).hexdigest())


def is_sha256(text: object) -> bool:
    """Whether `text` is 64 lower-case hex digits."""
    return isinstance(text, str) and len(text) == 64 and _HEX.issuperset(text)


def is_file_name(text: object) -> bool:
    """Whether `text` names a file in a folder, and cannot lead out of it on any platform."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= 255
        and text.strip(". ") != ""
        and not any(character in '/\\:*?"<>|' or ord(character) < 32 for character in text)
    )
