"""Ctrl-C while several threads download: the process ends at once, as if it were killed, which the cache survives."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from .console import Console
    from .progress_bar import Indicator


@contextmanager
def ending_at_once(console: Console, bar: Indicator, *, json: bool) -> Iterator[None]:
    """While the context lasts. What was downloaded until then is found by the next call, which goes on from there;
    threads that were told to stop would take it with them.
    """

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        from .console import error_json
        from .output import write_json

        interrupted = KeyboardInterrupt("interrupted; what was finished stays, and a download goes on where it was")
        try:
            console.failure(interrupted)
            if json:
                write_json({"error": error_json(interrupted)})
            bar.close()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:  # also where the main thread was in the middle of a message, and none can be written
            os._exit(ExitCode.INTERRUPTED)

    if threading.current_thread() is not threading.main_thread():  # an application's thread that calls `main`
        yield
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
