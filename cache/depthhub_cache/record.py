"""The record of an entry, `entry.json`: what was published, and whatever the publisher says about it. It is sealed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from .identity import ContentHash, Key, is_file_name, is_sha256
from .sealed import seal, unseal

SCHEMA = 1
FILE_NAME = "entry.json"
LIMIT = 1 << 20
"""Bytes of a record that are read at most."""


class Record(NamedTuple):
    """What an entry says of itself.

    weights: name of its file. weights_sha256, weights_size: of that file, in bytes. header_sha256: of that file's
    beginning, its safetensors header, so that every load can check it; None for a file of another kind.
    created_at: ISO 8601, UTC.
    about: the publisher's own facts, plain JSON, which the store does not look into.
    """

    schema: int
    key: Key
    weights: str
    weights_sha256: ContentHash
    weights_size: int
    header_sha256: ContentHash | None
    created_at: str
    about: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Raises TypeError or ValueError where `about` is not plain JSON."""
        facts = {
            "schema": self.schema,
            "key": self.key,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "weights_size": self.weights_size,
            "header_sha256": self.header_sha256,
            "created_at": self.created_at,
            "about": dict(self.about),
        }
        return seal(facts)

    @classmethod
    def parse(cls, data: bytes) -> "Record":
        """Raises ValueError, saying in words what is wrong, for anything but the bytes of a record."""
        facts = unseal(data, limit=LIMIT)
        schema = facts.get("schema")
        if type(schema) is not int or schema != SCHEMA:
            raise ValueError(f"its schema is {schema!r}, this version reads {SCHEMA}")
        if not is_sha256(facts.get("key")):
            raise ValueError("its key is not a sha256")
        if not is_file_name(facts.get("weights")):
            raise ValueError("its weights are not a file name")
        if not is_sha256(facts.get("weights_sha256")):
            raise ValueError("its weights_sha256 is not a sha256")
        if type(facts.get("weights_size")) is not int or facts["weights_size"] < 0:
            raise ValueError("its weights_size is not a number of bytes")
        if facts.get("header_sha256") is not None and not is_sha256(facts["header_sha256"]):
            raise ValueError("its header_sha256 is not a sha256")
        if not isinstance(facts.get("about"), dict):
            raise ValueError("its about is not an object")  # noqa: TRY004  wrong content, whatever its type
        return cls(
            schema=schema,
            key=facts["key"],
            weights=facts["weights"],
            weights_sha256=facts["weights_sha256"],
            weights_size=facts["weights_size"],
            header_sha256=facts.get("header_sha256"),
            created_at=_utc(facts.get("created_at")),
            about=facts["about"],
        )


def _utc(text: object) -> str:
    if isinstance(text, str):
        try:
            if datetime.fromisoformat(text).utcoffset() is not None:
                return text
        except ValueError:
            pass
    raise ValueError("its created_at is not a time with its zone")
