"""A file system of fsspec for one piece of work: made for it, shared with nobody, and closed behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from .address import Address
from .event_loop import EventLoop
from .protocols import options_of, traits_of

if TYPE_CHECKING:
    from .errands import Limits

T = TypeVar("T")


class Connection:
    """files: fsspec's file system, of the class `cls`. is_async: whether it runs in an event loop.

    The loop is our own where the session can be closed, so that nothing needs it afterwards. Else it is fsspec's.
    """

    def __init__(self, cls: Any, address: Address, limits: Limits) -> None:
        self.is_async = bool(cls.async_impl)
        traits = traits_of(address.protocol)
        options = options_of(cls, address.protocol, limits) | cls._get_kwargs_from_urls(address.url_of(""))
        self._session: Any = None
        self._own = EventLoop() if traits.session is not None else None
        try:
            if self._own is not None:
                options["loop"] = self._own.loop
            self.files = cls(skip_instance_cache=True, **options)
            if traits.attempts is not None:
                self.files.retries = traits.attempts
            if traits.session is not None:
                self._session = self.run(getattr(self.files, traits.session)())
        except BaseException:
            self.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work`, of an asynchronous file system, returns. It may take as long as it likes."""
        return asyncio.run_coroutine_threadsafe(work, self.files.loop).result()

    def close(self) -> None:
        try:
            if self._session is not None:
                self.run(self._session.close())
        finally:
            if self._own is not None:
                self._own.close()
