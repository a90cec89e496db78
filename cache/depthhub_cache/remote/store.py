"""A remote tier: what is in it, what is fetched from it, and what is put into it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import record
from ..entry import Entry, broken
from ..errors import BrokenEntryError, CacheError, RemoteDamageError, RemoteError, RemoteSetupError
from ..identity import ContentHash, Key
from ..record import Record
from .address import parse_address
from .errands import Errands, Limits
from .place import Damage, NotThere, Place, TakenMeanwhile, Trouble

if TYPE_CHECKING:
    from ..staging import StagedFile
    from ..store import Store

WEIGHTS = "weights.safetensors"
"""The only name, and so the only kind, of weights that travel: numbers, and nothing that runs."""

Report = Callable[[int, int], None]
"""Told bytes done, and bytes in all. Raising in it cancels the work; nothing half-made is seen by anybody."""

log = logging.getLogger("depthhub_cache")

_PIECE = 8 << 20
_PUT_AGAIN = "Remove what is there, and push the entry again."


def record_name(key: Key) -> str:
    """The object that holds the record of an entry."""
    return f"{key}.json"


def weights_name(sha256: ContentHash) -> str:
    """The object that holds the weights with this sha256."""
    return f"{sha256}.safetensors"


class RemoteStore:
    """A shared store of entries at `url`: of a protocol that fsspec knows, or the path of a mounted folder.

    Of the protocols, only HTTP(S) needs nothing else to be said. S3: the endpoint with AWS_ENDPOINT_URL, or with
    FSSPEC_S3='{"endpoint_url": "..."}'; keys, profile and region as for every tool of AWS; FSSPEC_S3_ANON=true for a
    public bucket. Google: GOOGLE_APPLICATION_CREDENTIALS. Azure: AZURE_STORAGE_ACCOUNT_NAME and what goes with it.
    connect_timeout, stall_timeout, total_timeout: the longest waits in seconds for a connection, without anything
    coming, and for one call as a whole; they hold whatever the protocol does.
    Every method raises RemoteError where the remote fails, RemoteSetupError where its address cannot be used.
    Nothing is connected before it is needed, and nothing stays open.
    """

    def __init__(self, url: str, *, connect_timeout: float, stall_timeout: float, total_timeout: float) -> None:
        self._address = parse_address(url)
        self._limits = Limits(connect_timeout, stall_timeout, total_timeout)

    @property
    def where(self) -> str:
        """Its address as it may be shown: without user, password and query."""
        return self._address.where

    @property
    def is_on_a_network(self) -> bool:
        """Whether a network is needed to ask it, as far as this machine knows: a mounted folder is a folder."""
        return self._address.folder is None

    def __repr__(self) -> str:
        return f"RemoteStore({self.where!r})"

    def record(self, key: Key) -> Record | None:
        """The record of an entry; None where the remote has not got it."""
        with self._asked_about(key) as remote:
            return _record(remote, key)

    def fetch(
        self,
        key: Key,
        store: Store,
        *,
        check: Callable[[Record], None],
        check_weights: Callable[[Path], None] | None = None,
        progress: Report | None = None,
    ) -> Entry | None:
        """The entry `key`, brought into `store` and verified; None where the remote has not got it.

        check: sees the record before anything else is fetched, and raises to refuse it. check_weights: the same of the
        file, which is what the record describes, before it is published.
        Raises NoSpaceError, before the weights are fetched, where there is no room for them.
        """
        with self._asked_about(key) as remote:
            found = _record(remote, key)
            if found is None:
                return None
            check(found)
            store.require_space(found.weights_size)
            with store.stage() as staging:
                with staging.file(WEIGHTS) as staged:
                    _fetch_weights(remote, found, staged, progress)
                if check_weights is not None:
                    check_weights(staged.path)
                try:
                    return store.publish_record(found, staging)
                except BrokenEntryError:
                    raise _wrong(weights_name(found.weights_sha256), "is not what the record describes") from None

    def push(
        self, entry: Entry, *, check: Callable[[Record], None] | None = None, progress: Report | None = None
    ) -> Literal["pushed", "was there"]:
        """Put an entry into the remote, unless it is there: its weights, and behind them its record.

        Every byte is verified before anything is sent, and again while it is: BrokenEntryError where it is not as it
        was published. What is there stays as it is, unless it is damaged or has the wrong size; a warning says where
        its bytes are others. check: sees its record, and raises to refuse it.
        """
        self.require_writable()
        with self._asked_about(entry.key) as remote:
            there = _whole(remote, entry.key)
            if there is None:
                made = _verified(entry)
                _push_weights(remote, entry, made, progress)
                there = _push_record(remote, made)
                if there is None:
                    return "pushed"
        if check is not None:
            check(there)
        if there.weights_sha256 != entry.record.weights_sha256:
            log.warning("%s has entry %s with other bytes than here; they stay", self.where, entry.key[:12])
        return "was there"

    def require_writable(self) -> None:
        """Raises RemoteSetupError where nothing can be pushed to such an address. Connects to nothing."""
        if self._address.is_web:
            raise self._setup_error("Over HTTP it can only be read. Push to the store that is behind it.")

    @contextmanager
    def _asked_about(self, key: Key) -> Iterator[Errands]:
        try:
            with Errands(self._opening(), self._limits) as remote:
                yield remote
        except Trouble as trouble:
            kind = RemoteDamageError if isinstance(trouble, Damage) else RemoteError
            raise kind(
                f"The remote store {self.where} failed for entry {key[:12]}: {trouble.reason}. {trouble.advice}",
                url=self.where,
                key=key,
                reason=trouble.reason,
            ) from None

    def _opening(self) -> Callable[[], Place]:
        if self._address.folder is not None:
            from .folder import Folder

            return partial(Folder, self._address.folder)
        from .objects import Objects
        from .protocols import file_system_class

        return partial(Objects, file_system_class(self._address), self._address, self._limits)

    def _setup_error(self, what: str) -> RemoteSetupError:
        return RemoteSetupError(f"The remote store {self.where}: {what}", url=self.where, key=None, reason=what)


def _record(remote: Errands, key: Key) -> Record | None:
    try:
        text = _small(remote, record_name(key))
    except NotThere:
        return None
    try:
        return _parsed(text, key)
    except ValueError as error:
        page = " (it looks like a web page)" if text.lstrip()[:1] == b"<" else ""
        raise _wrong(record_name(key), f"is no record of it: {error}{page}") from None


def _small(remote: Errands, name: str) -> bytes:
    text = b""
    for piece in remote.each(lambda place: place.read(name)):
        text += piece
        if len(text) > record.LIMIT:
            break
    return text


def _parsed(text: bytes, key: Key) -> Record:
    found = Record.parse(text)
    if found.key != key:
        raise ValueError(f"its key is {found.key}")
    if found.weights != WEIGHTS or found.header_sha256 is None:
        raise ValueError(f"its weights are no {WEIGHTS}")
    if found.to_bytes() != text:
        raise ValueError("it says the same in other words than were pushed")
    return found


def _fetch_weights(remote: Errands, wanted: Record, staged: StagedFile, progress: Report | None) -> None:
    name, size = weights_name(wanted.weights_sha256), wanted.weights_size
    try:
        for piece in remote.each(lambda place: place.read(name)):
            if staged.size + len(piece) > size:
                raise _wrong(name, f"has more than the {size:,} bytes that its record promises")
            staged.write(piece)
            if progress is not None:
                progress(staged.size, size)
    except NotThere:
        raise Trouble(f"it has the record, and not {name}", "Push the entry again.") from None
    if staged.size < size:
        raise _wrong(name, f"ended after {staged.size:,} of {size:,} bytes")
    if staged.sha256() != wanted.weights_sha256:
        raise _wrong(name, f"has sha256 {staged.sha256()}")


def _wrong(name: str, what: str) -> Damage:
    return Damage(f"{name} {what}", _PUT_AGAIN)


def _whole(remote: Errands, key: Key) -> Record | None:
    """The record that the remote has of the entry, if it has weights of the size that this says, too."""
    try:
        found = _parsed(_small(remote, record_name(key)), key)
    except (NotThere, ValueError):
        return None
    return found if _size(remote, weights_name(found.weights_sha256)) == found.weights_size else None


def _size(remote: Errands, name: str) -> int | None:
    return remote.ask(lambda place: place.size(name))


def _verified(entry: Entry) -> Record:
    from ..verification import verify_entry

    made = verify_entry(entry.path, entry.key, deep=True).record
    if made.weights_sha256 != entry.record.weights_sha256:
        raise broken(entry.path, "another one, with other bytes, took its place since it was found")
    if made.weights != WEIGHTS:
        raise CacheError(
            f"The entry {entry.path} cannot be pushed: that takes files {WEIGHTS}, and this is {made.weights}.",
            path=entry.path,
        )
    return made


def _push_weights(remote: Errands, entry: Entry, made: Record, progress: Report | None) -> None:
    name, sha256, size = weights_name(made.weights_sha256), made.weights_sha256, made.weights_size
    found = _size(remote, name)
    if found == size:
        return
    pieces = partial(_weights, entry, made)
    try:
        for done in remote.each(lambda place: place.put(name, pieces, sha256, over=found is not None)):
            if progress is not None:
                progress(done, size)
    except TakenMeanwhile:
        pass  # by somebody who has the same bytes
    found = _size(remote, name)
    if found != size:
        what = "is not there after it was put" if found is None else f"has {found:,} bytes instead of {size:,}"
        raise Trouble(f"{name} {what}", "Is somebody else putting it there? Try again.")


def _push_record(remote: Errands, made: Record) -> Record | None:
    """None, or the record of somebody who was faster, and whose entry is whole."""
    name, text = record_name(made.key), made.to_bytes()
    sha256 = ContentHash(hashlib.sha256(text).hexdigest())

    def put(place: Place, *, over: bool) -> Iterator[int]:
        return place.put(name, lambda: iter([text]), sha256, over=over)

    over = _size(remote, name) is not None
    if over and (there := _whole(remote, made.key)) and there.weights_sha256 != made.weights_sha256:
        return there  # it came while the weights were put
    try:
        list(remote.each(partial(put, over=over)))
    except TakenMeanwhile:
        if there := _whole(remote, made.key):
            return there
        list(remote.each(partial(put, over=True)))
    return None


def _weights(entry: Entry, made: Record) -> Iterator[bytes]:
    """The bytes of the weights. Raises BrokenEntryError, before they are complete elsewhere, if they are not those."""
    digest, size = hashlib.sha256(), 0
    try:
        with entry.weights.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                if size > made.weights_size:
                    break
                yield piece
    except OSError as error:
        raise broken(entry.path, f"{entry.weights.name} cannot be read: {error.strerror}") from error
    if digest.hexdigest() != made.weights_sha256:
        raise broken(entry.path, f"{entry.weights.name} changed while it was pushed")
