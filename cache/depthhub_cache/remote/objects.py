"""A remote that fsspec reaches: objects of a store, or files on some server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..identity import ContentHash
from .address import Address
from .connection import Connection
from .place import NotThere, Pieces, TakenMeanwhile, Trouble
from .protocols import traits_of
from .reasons import code_of, status_of

if TYPE_CHECKING:
    from .errands import Limits

PART = 8 << 20
"""Bytes that are sent at a time: none of it may take longer than the limit for stalls. S3 takes 5 MiB or more."""

_PIECE = 4 << 20
_PATIENCE = 0.5  # seconds after which a piece is handed on that is not full
_UNKNOWN_TO_THE_STORE = frozenset({"NotImplemented", "InvalidArgument"})


class Objects:
    """Objects at `address`. cls: fsspec's class for its protocol."""

    def __init__(self, cls: Any, address: Address, limits: Limits) -> None:
        self._address = address
        self._traits = traits_of(address.protocol)
        self._is_conditional = True
        self._connection = Connection(cls, address, limits)
        self._files = self._connection.files

    def close(self) -> None:
        self._connection.close()

    def read(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._stream(self._path(name))
        except Exception as error:
            if code_of(error) == "NoSuchBucket":
                raise Trouble("there is no such bucket", "Is its name misspelt, or is it elsewhere?") from None
            if isinstance(error, FileNotFoundError) or status_of(error) == HTTPStatus.NOT_FOUND:
                raise NotThere from None
            raise

    def size(self, name: str) -> int | None:
        try:
            found = self._files.info(self._path(name))
        except FileNotFoundError:
            return None
        return int(found["size"])

    def put(self, name: str, pieces: Pieces, sha256: ContentHash, *, over: bool) -> Iterator[int]:
        if over or not self._is_conditional:
            yield from self._upload(name, pieces, sha256, "wb")
            return
        try:
            yield from self._upload(name, pieces, sha256, "xb")
        except Exception as error:
            if self._is_there(name):
                raise TakenMeanwhile from None
            if not isinstance(error, NotImplementedError) and code_of(error) not in _UNKNOWN_TO_THE_STORE:
                raise
        else:
            return
        self._is_conditional = False  # a store that cannot tell: nothing was there a moment ago
        yield from self._upload(name, pieces, sha256, "wb")

    def _is_there(self, name: str) -> bool:
        with suppress(Exception):
            return self.size(name) is not None
        return False

    def _upload(self, name: str, pieces: Pieces, sha256: ContentHash, mode: str) -> Iterator[int]:
        noted = self._traits.noting({"sha256": sha256})
        file = self._files.open(self._path(name), mode, block_size=PART, autocommit=False, **noted)
        try:
            sent = 0
            for piece in pieces():
                file.write(piece)
                sent += len(piece)
                yield sent
            file.close()
            yield sent
            file.commit()
        except BaseException:
            with suppress(Exception):
                file.discard()
            with suppress(AttributeError):
                file.closed = True  # or it would be completed by the collector of garbage
            raise

    def _stream(self, path: str) -> Iterator[bytes]:
        if self._connection.is_async:
            try:
                file = self._connection.run(self._files.open_async(path, "rb", **self._traits.reading))
            except NotImplementedError:  # of gcsfs and adlfs
                pass
            else:
                try:
                    while piece := self._connection.run(_piece(file)):
                        yield piece
                finally:
                    self._connection.run(_closed(file))
                return
        with self._files.open(path, "rb", block_size=_PIECE, cache_type="none") as file:
            while piece := file.read(_PIECE):
                yield piece

    def _path(self, name: str) -> str:
        return str(self._files._strip_protocol(self._address.url_of(name)))


async def _closed(file: Any) -> None:
    response = getattr(file, "r", None)  # closing the file may leave it open
    if response is not None:
        response.close()
    await file.close()


async def _piece(file: Any) -> bytes:
    """What comes until a piece is full, or for a moment: a slow one must not look as if it stood still."""
    piece = bytearray()
    end = time.monotonic() + _PATIENCE
    while len(piece) < _PIECE and (more := await file.read(_PIECE - len(piece))):
        piece += more
        if time.monotonic() > end:
            break
    return bytes(piece)
