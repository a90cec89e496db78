"""The streams that a shell gives us: any may be closed, or stop taking what is written, and none may be a crash."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO


@contextmanager
def usable_streams() -> Iterator[None]:
    """stdout and stderr that can be written to. One that the caller closed (`>&-`) is None in Python: nothing it is.

    Without this, what is meant for a closed stderr lands on stdout, between the data.
    """
    with ExitStack() as stack:
        if sys.stdout is None:
            stack.enter_context(redirect_stdout(stack.enter_context(_nothing())))
        if sys.stderr is None:
            stack.enter_context(redirect_stderr(stack.enter_context(_nothing())))
        _allow_any_file_name(sys.stdout)
        yield


def discard(stream: IO[str]) -> None:
    """Let what was not written, and all that follows, go nowhere; or Python complains again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


def _nothing() -> IO[str]:
    return Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")


def _allow_any_file_name(stream: IO[str]) -> None:
    """A path that is not text in the terminal's encoding is printed as its bytes, or escaped; never a crash."""
    if isinstance(stream, io.TextIOWrapper):
        is_utf8 = stream.encoding.lower().replace("-", "") == "utf8"
        stream.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
