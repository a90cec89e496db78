"""What a remote has to be able to do, and how it says no. All of it is done in a thread: see `errands.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ..identity import ContentHash

Pieces = Callable[[], Iterator[bytes]]
"""Gives the bytes of an object from the start, each time that it is called."""


class Place(Protocol):
    """Objects by name. Any method may raise anything, and may hang."""

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of an object, as they come. Raises NotThere."""

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where there is none."""

    def put(self, name: str, pieces: Pieces, sha256: ContentHash, *, over: bool) -> Iterator[int]:
        """Make an object of `pieces`, which have this sha256: bytes sent, as they are.

        It is there when all was taken, and not before. over: in the place of what is there; else raises TakenMeanwhile
        where something is, as far as the store can tell.
        """

    def close(self) -> None:
        """Close what was opened."""


class NotThere(Exception):  # noqa: N818  an answer
    """The remote says that it has no such object."""


class TakenMeanwhile(Exception):  # noqa: N818  an answer
    """Another one has put an object there."""


class Trouble(Exception):  # noqa: N818  becomes an error where it is known whose
    """What is wrong with a remote, in words without a secret, and what to do."""

    def __init__(self, reason: str, advice: str = "Look at its address, the network and your credentials.") -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


class Damage(Trouble):
    """What a remote has is not what it should be."""
