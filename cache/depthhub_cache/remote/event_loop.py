"""An event loop of our own, in a thread of its own.

fsspec has one for the whole process. There whatever hangs hangs for all, and a name that is slow to be resolved keeps
the process from ending: the threads that asyncio takes for it are waited for at exit. None of that here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_ROUNDS = 3  # a connection that was closed is gone one round later


class EventLoop:
    """Runs in its thread until it is closed. loop: for `asyncio.run_coroutine_threadsafe`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_Daemons())
        self.loop.set_exception_handler(_say_nothing)  # what it would log may hold secrets
        self._thread = threading.Thread(target=self._run, name="depthhub-remote-io", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, with all that still runs in it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            for _ in range(_ROUNDS):
                self.loop.run_until_complete(asyncio.sleep(0))
        finally:
            self.loop.close()


def _say_nothing(*_: object) -> None:
    pass


class _Daemons(ThreadPoolExecutor):
    """A thread for each call, that no process waits for."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  it is the caller's
                future.set_exception(error)

        threading.Thread(target=run, name="depthhub-remote-call", daemon=True).start()
        return future
